"""Networks for images learn: they fit a few hundred real images within a few dozen steps."""

import os
from pathlib import Path

import pytest

from afterfit.models import CNN, ResNet18, VisionTransformer
from afterfit.spec import Adam, Every, Experiment, Minibatch
from afterfit.tasks import Images

CASES = {
    "cnn": ("mnist", 200, CNN(channels=(4, 8), widths=(32,)), 3e-3, 60),
    "vision-transformer": ("mnist", 200, VisionTransformer(width=32, heads=4, mlp_width=64, patch=7), 3e-3, 120),
    "resnet": ("cifar-10", 100, ResNet18(widths=(4, 8, 8, 16)), 1e-2, 80),
}
FOLDERS = {"mnist": "mnist", "cifar-10": "cifar-10-batches-bin"}


@pytest.mark.parametrize("name", CASES)
def test_real_images_are_memorised(name, members, train):
    dataset, images, model, rate, steps = CASES[name]
    root = os.environ.get("AFTERFIT_DATA")
    if root is None or not (Path(root) / FOLDERS[dataset]).is_dir():
        pytest.skip(f"AFTERFIT_DATA does not name a folder that has {FOLDERS[dataset]}/")
    experiment = Experiment(
        task=Images(dataset=dataset, train_size=images, test_size=100), model=model,
        optimizer=Adam(learning_rate=rate), minibatch=Minibatch(size=50), steps=steps, schedule=Every(steps=steps),
        measures=("loss", "accuracy"),
    )  # fmt: skip
    sink = train(members({}, experiment=experiment))
    before, after = sink.curve(0, "train/accuracy")
    assert before < 0.3
    assert after >= 0.98
    if dataset == "mnist":  # a hundred images of CIFAR-10 tell next to nothing about others, to a network so small
        assert sink.curve(0, "test/accuracy")[-1] > 0.3  # chance is .1
