"""What the structure is called: its name for people, and its codes for machines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from twintrack.errors import InputError

_LONGEST_NAME = 40  # room for "at least 255 of 255, " in DICOM's 64 characters
_LONGEST = MappingProxyType({"scheme": 16, "value": 16, "meaning": 64})  # PS3.3, table 8.8-1

# The words that structures are called by, in the order in which they count: a cystic tumour is a tumour.
_TYPES = MappingProxyType(
    {
        "tumour": codes.SCT.Neoplasm,
        "tumor": codes.SCT.Neoplasm,
        "neoplasm": codes.SCT.Neoplasm,
        "cancer": codes.SCT.Neoplasm,
        "carcinoma": codes.SCT.Neoplasm,
        "metastasis": codes.SCT.NeoplasmSecondary,
        "nodule": codes.SCT.Nodule,
        "cyst": codes.SCT.Cyst,
        "mass": codes.SCT.Mass,
    }
)
_REGIONS = MappingProxyType(
    {
        "pancrea": codes.SCT.Pancreas,
        "kidney": codes.SCT.Kidney,
        "renal": codes.SCT.Kidney,
        "liver": codes.SCT.Liver,
        "hepat": codes.SCT.Liver,
        "lung": codes.SCT.Lung,
        "pulmonary": codes.SCT.Lung,
        "prostat": codes.SCT.Prostate,
    }
)


@dataclass(frozen=True)
class Structure:
    """What the response is of.

    Attributes:
        name: What people call it.
        kind: Code of what it is, such as a neoplasm (segmented property type, CID 7151).
        region: Code of where it is; None where that is not said.
    """

    name: str
    kind: Code
    region: Code | None

    @property
    def category(self) -> Code:
        """What kind of thing it is (CID 7150): changed tissue where the code is one of CID 7159, else anatomy."""
        lesions = {getattr(codes.cid7159, name) for name in codes.cid7159.dir()}
        found: Code = (
            codes.SCT.MorphologicallyAbnormalStructure if self.kind in lesions else codes.SCT.AnatomicalStructure
        )
        return found


def structure_of(name: str, *, kind: str | None = None, region: str | None = None) -> Structure:
    """Give a structure its codes.

    Args:
        name: What people call it.
        kind: Its code: SCHEME:VALUE:MEANING as in ``SCT:108369006:Neoplasm``, or a keyword of pydicom's SNOMED CT
            terms as in ``Neoplasm``. None: by words of the name (tumour, nodule, cyst, …), else Lesion.
        region: Code of where it is, likewise. None: by words of the name (pancreatic, kidney, …), else left open.

    Returns:
        The structure.

    Raises:
        InputError: If the name cannot be written, or a code is none.
    """
    name = name.strip()
    if not name or not name.isprintable() or "\\" in name or len(name) > _LONGEST_NAME:
        raise InputError(
            f"the structure is called {name!r}; its name must have 1 to {_LONGEST_NAME} characters on one line, and no "
            "backslash"
        )
    found = _by_word(name, _TYPES)
    return Structure(
        name=name,
        kind=(found or codes.SCT.Lesion) if kind is None else code_of(kind),
        region=_by_word(name, _REGIONS) if region is None else code_of(region),
    )


def code_of(text: str) -> Code:
    """Read a code.

    Args:
        text: SCHEME:VALUE:MEANING, or a keyword of pydicom's SNOMED CT terms.

    Returns:
        The code.

    Raises:
        InputError: If it is neither.

    Examples:
        >>> code_of("SCT:108369006:Neoplasm") == code_of("Neoplasm")
        True
    """
    parts = [part.strip() for part in text.split(":", 2)]
    if len(parts) == 1:
        if text in codes.SCT.dir():
            return Code(*getattr(codes.SCT, text))
        near = get_close_matches(text, codes.SCT.dir(), n=3)
        raise InputError(
            f"{text!r} is no keyword of SNOMED CT{' (near: ' + ', '.join(near) + ')' if near else ''}; give a code as "
            "SCHEME:VALUE:MEANING, as in SCT:108369006:Neoplasm"
        )
    for part, (what, longest) in zip((*parts, ""), _LONGEST.items(), strict=False):
        if not part or len(part) > longest or "\\" in part or not part.isprintable():
            raise InputError(
                f"{text!r} is no code: SCHEME:VALUE:MEANING is expected, as in SCT:108369006:Neoplasm, and its {what} "
                f"must have 1 to {longest} characters"
            )
    return Code(parts[1], parts[0], parts[2])


def _by_word(name: str, known: MappingProxyType[str, Code]) -> Code | None:
    # Pitfall: "adrenal" holds "renal"; a word counts from its beginning on.
    return next((code for word, code in known.items() if re.search(rf"\b{word}", name.lower())), None)
