"""Truong et al. 2026: spectral entropy collapse before delayed generalisation."""
