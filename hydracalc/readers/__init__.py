"""Readers of published formats: files of any size, record by record, damage named."""
