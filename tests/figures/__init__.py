"""Figures: measured results as tables: python -m tests.figures"""
