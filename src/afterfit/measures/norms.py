"""Sizes of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from afterfit.measures._arrays import Array, as_matrix, as_real, product, ratio, root, scalar


def weight_norm(parameters: Mapping[str, Array] | Iterable[Array]) -> Array:
    r"""Frobenius norm of all parameters together: ‖θ‖ = √(Σ_j ‖θ_j‖²_F).

    Arrays may have any shape; those in half precision are summed in float32. The gradient at zero is taken as zero.

    Args:
        parameters: name -> array as in a state dict, or arrays, as from `model.parameters()`.

    Raises:
        ValueError: no parameters.

    Cost: one pass over the parameters.

    >>> import numpy as np
    >>> float(weight_norm({"weight": np.array([[3.0, 0.0]]), "bias": np.array([4.0])}))
    5.0
    """
    arrays = list(parameters.values() if isinstance(parameters, Mapping) else parameters)
    if not arrays:
        raise ValueError("weight_norm needs at least one array, got no parameters")
    xp, *arrays = as_real(*arrays)
    return scalar(root(xp, sum(xp.sum(array * array) for array in arrays)))


def stable_rank(matrix: Array) -> Array:
    r"""Stable rank ‖A‖²_F / ‖A‖²_2: how many directions as strong as the strongest a matrix (m, n) would need.

    In [1, rank A], and unlike the rank not moved by small singular values. 0 for a zero matrix.

    Args:
        matrix: shape (m, n). Nothing is centred.

    Raises:
        ValueError: not a matrix, or empty.

    Source: Rudelson & Vershynin 2007. Cost O(m n min(m, n)).

    >>> import numpy as np
    >>> float(stable_rank(np.array([[2.0, 0.0], [0.0, 1.0]])))
    1.25
    """
    xp, matrix = as_matrix("matrix", matrix)
    transposed = xp.permute_dims(matrix, (1, 0))
    wide = matrix.shape[0] < matrix.shape[1]
    gram = product(xp, matrix, transposed) if wide else product(xp, transposed, matrix)
    return scalar(ratio(xp, xp.sum(matrix * matrix), xp.max(xp.linalg.eigvalsh(gram)), zero_by_zero=0.0))
