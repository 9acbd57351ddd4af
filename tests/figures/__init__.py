"""Figures: what the proofs count, as tables: python -m tests.figures"""
