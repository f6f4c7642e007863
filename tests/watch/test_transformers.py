"""The callback of the Hugging Face Trainer, on small models that are built from a config: nothing is downloaded."""

import pytest
import torch

import afterfit as af

transformers = pytest.importorskip("transformers", reason="needs transformers")
pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
from afterfit.watch.transformers import WatchCallback, next_token_labels  # noqa: E402

WORDS, LENGTH, PADDING = 11, 6, 0
MEASURES = ["loss", "accuracy", "rnc1", "spectral_entropy", "weight_norm"]


def texts(n: int, seed: int) -> list[dict[str, torch.Tensor]]:
    """Counting from some word on; every third text is shorter and padded."""
    first = torch.randint(1, WORDS, (n,), generator=torch.Generator().manual_seed(seed))
    tokens = (first[:, None] + torch.arange(LENGTH) - 1) % (WORDS - 1) + 1
    there = torch.arange(LENGTH) < torch.where(torch.arange(n) % 3 == 0, LENGTH - 2, LENGTH)[:, None]
    tokens = torch.where(there, tokens, PADDING)
    labels = torch.where(there, tokens, -100)
    return [
        {"input_ids": token, "attention_mask": mask, "labels": label}
        for token, mask, label in zip(tokens, there.long(), labels, strict=True)
    ]


def language_model():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=LENGTH, n_embd=16, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1
    )
    return transformers.GPT2LMHeadModel(config)


def trainer(folder, callback, model, steps, train=None, **options):
    args = transformers.TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-2, report_to=[], use_cpu=True,
        disable_tqdm=True, seed=3, save_strategy=options.pop("save_strategy", "no"), logging_strategy="no",
        dataloader_pin_memory=False, **options,
    )  # fmt: skip
    return transformers.Trainer(model, args, train_dataset=train or texts(40, 0), callbacks=[callback])


def test_the_labels_of_a_language_model_are_the_tokens_that_come_next():
    batch = {"input_ids": torch.tensor([[4, 5, 6, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 0]])}
    assert next_token_labels(batch).tolist() == [[5, 6, -100, -100]]
    asked = {"input_ids": torch.tensor([[4, 5, 6]]), "labels": torch.tensor([[-100, -100, 6]])}
    assert next_token_labels(asked).tolist() == [[-100, 6, -100]]


def test_a_language_model_is_watched_with_its_own_loss(tmp_path):
    model, test = language_model(), texts(24, 1)
    callback = WatchCallback(
        test=test, every=5, out=tmp_path / "run", labels=next_token_labels, measures=MEASURES, probe=10_000
    )
    trainer(tmp_path / "hf", callback, model, 10).train()
    runs = af.open(tmp_path / "run")
    assert runs.observations["step"].values.tolist() == [0, 5, 10]
    assert str(runs.observations["status"].values[0]) == "finished"
    batch = {name: torch.stack([text[name] for text in test]) for name in test[0]}
    model.eval()
    with torch.no_grad():
        out = model(**batch)
    last = callback.watch.recorder.values[-1]
    assert last["test/loss"] == pytest.approx(float(out.loss), rel=1e-5)
    expected, kept = out.logits[:, :-1].argmax(-1), batch["labels"][:, 1:]
    assert last["test/accuracy"] == pytest.approx(float((expected == kept)[kept != -100].float().mean()))
    assert last["train/loss"] < callback.watch.recorder.values[0]["train/loss"]
    # The head is tied to the embedding, which counts once.
    norm = torch.cat([p.detach().flatten() for p in model.parameters()]).norm()
    assert last["weight_norm"] == pytest.approx(float(norm), rel=1e-5)


def test_a_probe_holds_so_many_tokens_and_not_so_many_texts(tmp_path):
    callback = WatchCallback(every=5, labels=next_token_labels, measures=["loss"], probe=30)
    trainer(tmp_path / "hf", callback, language_model(), 1).train()
    assert callback.watch.source.samples["train"].count == 30
    assert len(callback.watch.source.samples["train"].batches) == 1


def test_a_classifier_is_watched_with_the_trainers_own_collator(tmp_path):
    config = transformers.BertConfig(
        vocab_size=WORDS, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=LENGTH, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config)
    rows = [{"input_ids": text["input_ids"], "label": int(text["input_ids"][0]) % 3} for text in texts(40, 0)]
    callback = WatchCallback(test=rows[30:], every=4, measures=["accuracy", "nc1"])
    trainer(tmp_path / "hf", callback, model, 4, train=rows[:30], gradient_accumulation_steps=2).train()
    assert callback.watch.source.head == "classifier"
    assert callback.watch.source.samples["test"].count == 10
    assert callback.watch.recorder.steps == [0, 4]


def test_a_training_from_a_checkpoint_goes_on_in_the_same_folder(tmp_path):
    options = {"every": 2, "out": tmp_path / "run", "labels": next_token_labels, "measures": MEASURES}
    first = WatchCallback(**options)
    trainer(tmp_path / "hf", first, language_model(), 8, save_strategy="steps", save_steps=5).train()
    again = WatchCallback(**options)
    longer = trainer(tmp_path / "hf", again, language_model(), 10)
    longer.train(resume_from_checkpoint=str(tmp_path / "hf/checkpoint-5"))
    assert again.watch.recorder.steps == [0, 2, 4, 6, 8, 10]
    before, after = first.watch.recorder.values, again.watch.recorder.values
    assert after[:3] == before[:3]
    assert af.open(tmp_path / "run").observations["step"].values.tolist() == [0, 2, 4, 6, 8, 10]
