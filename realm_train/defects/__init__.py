"""A generator of local, describable flaws in real photographs, with masks: data to train and to judge maps on."""

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
