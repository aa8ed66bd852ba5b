"""Who says so, when, and under which UIDs: the same result gives the same objects to the last byte."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from twintrack.errors import InputError
from twintrack.report.dicom.series import AS_THEY_ARE, CtSeries
from twintrack.software import versions

MANUFACTURER = "TwinTrack"
RESEARCH = "for research use only"
_SERIAL = "none"
_HIGHEST_SERIES = 20_000_000  # a hundred times this is still an IS, at most 2³¹ − 1
_DATES = (("ContentDate", "ContentTime"), ("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"))


@dataclass(frozen=True)
class Identity:
    """What is the same in all objects of a result.

    Attributes:
        seed: What the result is, and how it is written, as a text.
        when: When the objects say that they were made.
        software: Versions by name, TwinTrack's and those of the packages that write the objects.
    """

    seed: str
    when: datetime
    software: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, seed: str, series: CtSeries, when: datetime | None = None) -> Identity:
        """Make the identity of a result.

        Args:
            seed: What the result is, and how it is written, as a text.
            series: The CT series.
            when: When it was made. None: the CT's own date, so that a de-identified series stays so and a run that is
                repeated gives the same bytes.

        Returns:
            The identity.

        Raises:
            InputError: If no time is given and the series has no date either.
        """
        found = versions("twintrack", "highdicom", "pydicom")
        return cls(seed, when or _date_of(series), tuple(item for item in found.items() if item[0] != "python"))

    @property
    def version(self) -> str:
        """TwinTrack's version."""
        return dict(self.software).get("twintrack", "unknown")

    def uid(self, *purpose: object) -> str:
        """Give the UID of a part of the result: of the kind that is made of UUIDs (PS3.5, B.2), here of version 5."""
        content = "/".join(map(str, (self.seed, self.when.isoformat(), self.software, *purpose)))
        return _uuid_uid(content)

    @property
    def device_uid(self) -> str:
        """The UID of this version of TwinTrack."""
        return _uuid_uid(f"{MANUFACTURER}/{self.version}")

    def options(self, series: CtSeries, what: str, number: int) -> dict[str, Any]:
        """Give the arguments that every object is made with.

        Args:
            series: The CT series.
            what: What the object is, in a few words: its series' description.
            number: 1 for the first object of the result, 2 for the second: each has a series of its own, numbered a
                hundred times the CT's series number plus this.

        Returns:
            Keyword arguments of `highdicom.base.SOPClass`.
        """
        own = int(series.headers[0].get("SeriesNumber") or 0)
        return {
            "series_instance_uid": self.uid(what, "series"),
            "sop_instance_uid": self.uid(what, "instance"),
            "series_number": (own if 0 <= own <= _HIGHEST_SERIES else 0) * 100 + number,
            "instance_number": 1,
            "series_description": f"{MANUFACTURER} {what} ({RESEARCH})",
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MANUFACTURER,
            "software_versions": self.version,
            "device_serial_number": _SERIAL,
            "specific_character_set": "ISO_IR 192",
            "content_qualification": "RESEARCH",
        }

    def settle(self, dataset: Dataset, series: CtSeries) -> None:
        """Put in what highdicom would draw at random, take from the clock or parse.

        Args:
            dataset: The finished object; changed.
            series: The CT series.
        """
        date, time = DA(self.when.date()), TM(self.when.time())
        for kind in ("InstanceCreation", "Series", "Content", "StructureSet"):
            if f"{kind}Date" in dataset or kind in ("InstanceCreation", "Series"):
                setattr(dataset, f"{kind}Date", date)
                setattr(dataset, f"{kind}Time", time)
        for keyword in AS_THEY_ARE:
            dataset[keyword] = series.taken_over[keyword]
        for item in dataset.get("ContributingEquipmentSequence", ()):
            if "ContributionDateTime" in item:
                del item.ContributionDateTime
        organization = self.uid(dataset.SeriesDescription, "dimensions")
        for item in (*dataset.get("DimensionOrganizationSequence", ()), *dataset.get("DimensionIndexSequence", ())):
            item.DimensionOrganizationUID = organization


def _uuid_uid(content: str) -> str:
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, content).int}"


def _date_of(series: CtSeries) -> datetime:
    header = series.headers[0]
    for date_keyword, time_keyword in _DATES:
        place = series.taken_over if date_keyword in series.taken_over else header
        date, time = str(place.get(date_keyword) or ""), str(place.get(time_keyword) or "")
        try:
            return datetime.strptime(date + time.partition(".")[0].ljust(6, "0"), "%Y%m%d%H%M%S")
        except ValueError:
            continue
    raise InputError(f"{series.name}: holds no date that the results could bear; give one (--time 2026-01-31T12:00:00)")
