"""Local, describable flaws put into real photographs, with masks: to train maps on and to judge them."""

from realm_train.defects.generator import (
    HELD_OUT_KINDS,
    KINDS,
    PHRASES,
    TRAINING_KINDS,
    Defect,
    DefectKind,
    make_defect,
)
from realm_train.defects.wordings import clean_description

__all__ = [
    "HELD_OUT_KINDS",
    "KINDS",
    "PHRASES",
    "TRAINING_KINDS",
    "Defect",
    "DefectKind",
    "clean_description",
    "make_defect",
]
