"""The published definitions, written out naively in float64: slow, unsafe near collapse, and obviously right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def groups(features: Matrix, labels: NDArray[np.int64]) -> list[Matrix]:
    return [features[labels == c] for c in np.unique(labels)]


def means(features, labels):
    return np.stack([group.mean(0) for group in groups(features, labels)])


def variances(features, labels):
    return [((group - group.mean(0)) ** 2).sum(1).mean() for group in groups(features, labels)]


def within(features, labels):
    return sum(((group - group.mean(0)) ** 2).sum() for group in groups(features, labels)) / len(features)


def between(features, labels):
    centre = features.mean(0)
    return sum(len(g) * ((g.mean(0) - centre) ** 2).sum() for g in groups(features, labels)) / len(features)


def nc1_pinv(features, labels):
    mu = means(features, labels)
    spread = np.concatenate([group - group.mean(0) for group in groups(features, labels)])
    sigma_w = spread.T @ spread / len(features)
    centred = mu - mu.mean(0)
    sigma_b = centred.T @ centred / len(mu)
    return np.trace(sigma_w @ np.linalg.pinv(sigma_b, rcond=1e-10)) / len(mu)


def rnc1(features, labels, reduce=np.mean):
    return within(features, labels) / reduce(np.linalg.norm(features, axis=1)) ** 2


def cdnv(features, labels):
    mu, v = means(features, labels), variances(features, labels)
    pairs = [(a, b) for a in range(len(mu)) for b in range(len(mu)) if a != b]
    return np.mean([(v[a] + v[b]) / (2 * ((mu[a] - mu[b]) ** 2).sum()) for a, b in pairs])


def condition_number(features, labels):
    return np.linalg.cond(means(features, labels))


def etf_distance(features, labels):
    mu = means(features, labels)
    count, gram = len(mu), (mu - mu.mean(0)) @ (mu - mu.mean(0)).T
    frame = (np.eye(count) - 1 / count) / np.sqrt(count - 1)
    return np.linalg.norm(gram / np.linalg.norm(gram) - frame)


def equinorm(features, labels):
    mu = means(features, labels)
    norms = np.linalg.norm(mu - mu.mean(0), axis=1)
    return norms.std() / norms.mean()


def equiangularity(features, labels):
    mu = means(features, labels) - means(features, labels).mean(0)
    unit = mu / np.linalg.norm(mu, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(len(mu), dtype=bool)]
    return np.abs(cosines + 1 / (len(mu) - 1)).mean()


def nc3(features, labels, weight):
    mu = means(features, labels) - means(features, labels).mean(0)
    return ((weight / np.linalg.norm(weight) - mu / np.linalg.norm(mu)) ** 2).sum()


def nearest(features, labels):
    return ((features[:, None] - means(features, labels)) ** 2).sum(-1).argmin(1)


def nc4(features, labels, weight, bias):
    return ((features @ weight.T + bias).argmax(1) != nearest(features, labels)).mean()


def spectral_entropy(features, center=True):
    features = features - features.mean(0) * center
    p = np.linalg.eigvalsh(features.T @ features)
    p = p[p > 1e-14 * p.max()] / p.sum()
    return -(p * np.log(p)).sum() / np.log(features.shape[1])


def effective_rank(features):
    p = np.linalg.svd(features - features.mean(0), compute_uv=False)
    p = p[p > 1e-14 * p.max()] / p.sum()
    return np.exp(-(p * np.log(p)).sum())


def participation_ratio(features):
    values = np.linalg.eigvalsh(np.cov(features.T))
    return values.sum() ** 2 / (values**2).sum()


def stable_rank(matrix):
    return (np.linalg.norm(matrix) / np.linalg.norm(matrix, 2)) ** 2


def softmax(logits):
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def relative_flatness(features, weight, bias):
    p = softmax(features @ weight.T + bias)
    spread = p @ (weight**2).sum(1) - ((p @ weight) ** 2).sum(1)
    return ((features**2).sum(1) * spread).mean()


def relative_flatness_bound(features, weight, bias):
    p = softmax(features @ weight.T + bias)
    return (weight**2).sum() * ((1 - (p**2).sum(1)) * (features**2).sum(1)).mean()


def accuracy(logits, labels):
    return (logits.argmax(1) == labels).mean()


def cross_entropy(logits, labels):
    return -np.log(softmax(logits)[np.arange(len(labels)), labels]).mean()


def squared_error(logits, labels):
    return ((logits - np.eye(logits.shape[1])[labels]) ** 2).sum(1).mean()


def simplex_frame(num_classes, num_features, radius=1.0, seed=0):
    """Rows of a simplex equiangular tight frame of this radius around 0, turned at random in `num_features` ≥ K."""
    frame = np.sqrt(num_classes / (num_classes - 1)) * (np.eye(num_classes) - 1 / num_classes)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(num_features, num_features)))[0]
    return radius * frame @ turn[:num_classes]
