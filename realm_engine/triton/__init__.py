"""A model repository for NVIDIA Triton Inference Server, and the models in it that are Python."""

from realm_engine.bundle.bundle import Bundle
from realm_engine.triton.config import TritonOptions
from realm_engine.triton.repository import export_repository

__all__ = ["Bundle", "TritonOptions", "export_repository"]
