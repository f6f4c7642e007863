"""Regressions held by a ridge: censored times, of which some are known to be late, and logistic hazards."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit

from ._location_scale import Distribution, _derivatives, _start

ROUNDING = 1e-13  # relative, of a sum of log likelihoods


def penalised(
    design: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    now: np.ndarray,
    distribution: Distribution,
    weight: float,
    ridge: float,
) -> tuple[np.ndarray, float]:
    """β and σ of y = x·β + σ ε, low < y ≤ high, given y > now, at the maximum of a penalised likelihood.

    weight Σ (log P(low < y ≤ high) - log P(y > now)) - ½ ridge ‖β/σ‖², the intercept (first column) free. In (β/σ, 1/σ)
    the first term is concave and the second is not, so that the steps are those of a trust region with the exact
    Hessian, from the maximum without truncation.

    Args:
        design: shape (n, p), ones first.
        low, high: shape (n,); -inf and inf where nothing bounds y.
        now: shape (n,); -inf where y is known of from the start.
        distribution: of ε.
        weight: of the likelihood.
        ridge: above 0.

    Raises:
        ArithmeticError: there is no maximum.
    """
    from scipy.optimize import minimize

    penalty = np.full(design.shape[1] + 1, ridge)
    penalty[[0, -1]] = 0.0
    late = np.isfinite(now)

    def negative(theta: np.ndarray, truncated: bool) -> tuple[float, np.ndarray, np.ndarray]:
        if not theta[-1] > 0:
            return np.inf, np.zeros(len(theta)), np.eye(len(theta))
        parts = _derivatives(theta, design, low, high, distribution)
        if truncated and late.any():
            open_ = np.full(int(late.sum()), np.inf)
            given = _derivatives(theta, design[late], now[late], open_, distribution)
            parts = (parts[0] - given[0], parts[1] - given[1], parts[2] - given[2])
        value, gradient, hessian = parts
        held = 0.5 * float(penalty @ theta**2)
        return held - weight * value, penalty * theta - weight * gradient, np.diag(penalty) - weight * hessian

    # From coefficients of zero: those of least squares are enormous where covariates are collinear, and they often are.
    mean, sigma = _start(design[:, :1], np.where(np.isfinite(low), low, high), high)
    theta = np.concatenate([[mean / sigma], np.zeros(design.shape[1] - 1), [1 / sigma]])
    for truncated in (False, True):
        found = minimize(
            lambda x, t=truncated: negative(x, t)[0],
            theta,
            jac=lambda x, t=truncated: negative(x, t)[1],
            hess=lambda x, t=truncated: negative(x, t)[2],
            method="trust-exact",
            options={"maxiter": 500, "gtol": 1e-6},
        )
        theta = found.x
    if np.linalg.norm(negative(theta, True)[1]) > 1e-3 * (1 + np.abs(theta).max()) or not np.isfinite(found.fun):
        raise ArithmeticError(f"the likelihood of the regression has no maximum that could be found: {found.message}")
    return theta[:-1] / theta[-1], 1 / float(theta[-1])


def logistic(design: np.ndarray, happened: np.ndarray, weight: float, ridge: float) -> np.ndarray:
    """Coefficients at the maximum of weight · log likelihood - ½ ridge ‖β‖², by Newton's method with halved steps.

    The first three (the baseline) are held by a thousandth of the ridge: bins without any event would send them away.
    """
    penalty = np.full(design.shape[1], ridge)
    penalty[:3] *= 1e-3

    def value_at(beta: np.ndarray) -> float:
        logits = design @ beta
        likelihood = happened @ log_expit(logits) + (1 - happened) @ log_expit(-logits)
        return float(weight * likelihood - 0.5 * penalty @ beta**2)

    beta = np.zeros(design.shape[1])
    value = value_at(beta)
    for _ in range(200):
        share = expit(design @ beta)
        gradient = weight * (happened - share) @ design - penalty * beta
        hessian = weight * (design.T * (share * (1 - share))) @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step)
        if gain < 1e-10:
            return beta
        size = 1.0
        while (new := value_at(beta + size * step)) < value + 1e-4 * size * gain - ROUNDING * (1 + abs(value)):
            size /= 2
            if size < 1e-12:
                raise ArithmeticError("the likelihood of the hazards could not be maximised")
        beta, value = beta + size * step, new
    raise ArithmeticError("the likelihood of the hazards has no maximum within 200 steps")
