"""Writes CT series whose every file is a complete and valid CT image object, and a response map to make results of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
PIXEL = (0.8, 0.7)
"""Row and column distance, mm."""
STEP = 2.5
ORIGIN = (-12.0, 7.0, 40.0)
ROOT = "1.2.826.0.1.3680043.2.1125"


def slice_of(
    plane: NDArray[np.int16],
    k: int,
    *,
    cosines: Sequence[float] = UPRIGHT,
    step: float = STEP,
    pixel: Sequence[float] = PIXEL,
) -> Dataset:
    """Make slice k of a series as a valid object of the CT Image IOD (PS3.3, A.3)."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{ROOT}.3.{k + 1}"
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = "20210304"
    ds.StudyTime = ds.SeriesTime = "101112"
    ds.ContentTime = ds.AcquisitionTime = "101315.5"
    ds.AccessionNumber, ds.Modality, ds.Manufacturer = "A17", "CT", "Phantom Works"
    ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "Scanner 1", "1", "1"
    ds.ReferringPhysicianName, ds.StudyDescription, ds.SeriesDescription = "", "abdomen", "portal venous"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Müller^Jörg", "P1", "19500102", "M"
    ds.BodyPartExamined = "ABDOMEN"
    ds.SliceThickness, ds.KVP, ds.PatientPosition = step, 120, "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.StudyID = f"{ROOT}.1", f"{ROOT}.2", "S1"
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 4, 1, k + 1
    normal = np.cross(cosines[:3], cosines[3:])
    ds.ImagePositionPatient = [f"{value:.10g}" for value in np.asarray(ORIGIN) + k * step * normal]
    ds.ImageOrientationPatient = [f"{value:.10g}" for value in cosines]
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = f"{ROOT}.4", ""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = plane.shape
    ds.PixelSpacing = list(pixel)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = 40, 400
    ds.PixelData = plane.astype("<i2").tobytes()
    return ds


def write_series(
    folder: Path,
    array: NDArray[np.int16],
    *,
    cosines: Sequence[float] = UPRIGHT,
    step: float = STEP,
    pixel: Sequence[float] = PIXEL,
    change: Callable[[Dataset, int], None] | None = None,
) -> Path:
    """Write a series whose file names are in no order; `change` may spoil each slice."""
    folder.mkdir(parents=True)
    names = np.random.default_rng(1).permutation(len(array))
    for k, plane in enumerate(array):
        ds = slice_of(plane, k, cosines=cosines, step=step, pixel=pixel)
        if change is not None:
            change(ds, k)
        ds.save_as(folder / f"IM{names[k]:04d}", enforce_file_format=True)
    return folder
