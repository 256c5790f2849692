"""JWST and HST products, made to look like the archive's."""

import numpy as np
import pytest
from astropy.io import fits

from ohana.config import DetectorConfig
from ohana.errors import OhanaError
from ohana.read import open_exposure

RNG = np.random.default_rng(4)


def jwst_file(path, science, primary=None, **planes):
    """Write a file with the extensions of a JWST product."""
    header = {"TELESCOP": "JWST", "INSTRUME": "NIRCAM", "DETECTOR": "NRCA1", "TFRAME": 10.0}
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(science, name="SCI")]
    hdus[0].header.update(header | (primary or {}))
    hdus += [fits.ImageHDU(data, name=name) for name, data in planes.items()]
    fits.HDUList(hdus).writeto(path)
    return path


def uncal(shape=(2, 4, 8, 8)):
    return RNG.integers(0, 65536, shape, dtype=np.uint16)


def test_uncal_gives_a_ramp_for_each_integration(tmp_path):
    science = uncal()
    frames = {"NFRAMES": 4, "GROUPGAP": 1, "FASTAXIS": -1, "SLOWAXIS": 2}
    path = jwst_file(tmp_path / "jw01_uncal.fits", science, frames, ZEROFRAME=science[:, 0])
    ramps = open_exposure(path)
    assert [ramp.integration for ramp in ramps] == [0, 1]
    for ramp, expected in zip(ramps, science, strict=True):
        np.testing.assert_array_equal(ramp.planes.read(), expected)
        assert ramp.name == "jw01_uncal"
        np.testing.assert_allclose(ramp.times, [25, 75, 125, 175])
    facts = ramps[0].facts
    assert (facts.nframes, facts.groupgap, facts.fast_axis, facts.slow_axis) == (4, 1, -1, 2)
    assert (facts.gain, facts.sources["gain"]) == (2.05, "default (NRCA1)")
    assert facts.saturation == 65535
    assert not ramps[0].reference_done
    assert ramps[0].flags is None


def test_ramp_brings_its_flags(tmp_path):
    science = uncal().astype(np.float32)
    flags = RNG.integers(0, 8, science.shape, dtype=np.uint8)
    pixels = np.zeros((8, 8), np.uint32)
    pixels[1, 2], pixels[3, 4] = 1 + 2**31, 2**31
    more = {"GROUPDQ": flags, "PIXELDQ": pixels, "ERR": science}
    path = jwst_file(tmp_path / "a_ramp.fits", science, {"S_REFPIX": "COMPLETE"}, **more)
    ramps = open_exposure(path)
    for ramp, expected in zip(ramps, flags, strict=True):
        np.testing.assert_array_equal(ramp.flags.read_stored(), expected)
        assert ramp.flags.read_stored().dtype == np.uint8
        np.testing.assert_array_equal(np.argwhere(ramp.bad_pixels), [[1, 2]])
        assert ramp.reference_done
        assert ramp.facts.saturation == np.inf
    np.testing.assert_array_equal(ramps[1].planes.read(), science[1])


@pytest.mark.parametrize(
    ("start", "size", "sides"),
    [
        ((1, 1), (2048, 64), (True, False, True, True)),
        ((1, 1985), (2048, 64), (False, True, True, True)),
        ((1, 900), (64, 64), (False, False, True, False)),
        ((1985, 900), (64, 64), (False, False, False, True)),
    ],
)
def test_sides_of_a_subarray(tmp_path, start, size, sides):
    header = {"SUBSTRT1": start[0], "SUBSTRT2": start[1], "SUBSIZE1": size[0], "SUBSIZE2": size[1]}
    science = np.ones((1, 3, size[1], size[0]), np.uint16)
    [ramp] = open_exposure(jwst_file(tmp_path / "a.fits", science, header))
    assert ramp.facts.border_sides == sides
    assert ramp.facts.border == 4
    assert ramp.facts.outputs == 1


def test_subarray_without_reference_pixels(tmp_path):
    header = {"SUBSTRT1": 900, "SUBSTRT2": 900, "SUBSIZE1": 8, "SUBSIZE2": 8}
    [ramp] = open_exposure(jwst_file(tmp_path / "a.fits", uncal((1, 3, 8, 8)), header))
    assert ramp.facts.border == 0
    assert ramp.facts.border_sides == (True,) * 4


def test_full_frames(tmp_path):
    header = {"SUBSTRT1": 1, "SUBSTRT2": 1, "SUBSIZE1": 2048, "SUBSIZE2": 2048}
    science = np.broadcast_to(np.uint16(7), (1, 3, 2048, 2048))
    [ramp] = open_exposure(jwst_file(tmp_path / "a.fits", science, header))
    facts = ramp.facts
    assert (facts.outputs, facts.border, facts.border_sides) == (4, 4, (True,) * 4)
    # NIRSpec IRS2 interleaves reference pixels: SUBSIZE does not count them.
    science = np.broadcast_to(np.uint16(7), (1, 3, 3200, 2048))
    header |= {"INSTRUME": "NIRSPEC", "DETECTOR": "NRS2"}
    [ramp] = open_exposure(jwst_file(tmp_path / "b.fits", science, header))
    assert ramp.facts.border == 0
    assert any("IRS2" in note for note in ramp.notes)


def test_miri_has_reference_columns_only(tmp_path):
    header = {"INSTRUME": "MIRI", "DETECTOR": "MIRIMAGE", "SUBSTRT1": 1, "SUBSTRT2": 1}
    science = np.broadcast_to(np.uint16(7), (1, 3, 1024, 1032))
    [ramp] = open_exposure(jwst_file(tmp_path / "a.fits", science, header))
    assert ramp.facts.border_sides == (False, False, True, True)
    assert ramp.facts.outputs == 1


@pytest.mark.parametrize(("shape", "name"), [((8, 8), "rate"), ((3, 8, 8), "rateints")])
def test_jwst_rates_are_no_ramps(tmp_path, shape, name):
    path = jwst_file(tmp_path / f"a_{name}.fits", np.ones(shape, np.float32))
    with pytest.raises(OhanaError, match=r"a_rate.*wanted at least 3 reads .* _uncal and _ramp"):
        open_exposure(path)


def test_jwst_flags_of_another_shape(tmp_path):
    flags = {"GROUPDQ": np.zeros((2, 4, 8, 7), np.uint8)}
    with pytest.raises(OhanaError, match="mixed shapes: wanted GROUPDQ like SCI"):
        open_exposure(jwst_file(tmp_path / "a.fits", uncal(), **flags))


TIMES = np.array([0.0, 2.0, 5.0, 9.0])
SHAPE = (16, 20)


def hst_file(path, reads, unit="COUNTS", primary=None, quality=None, times=TIMES):
    """Write IMSETs, the last read first, with constants where the archive has them."""
    header = {"TELESCOP": "HST", "INSTRUME": "WFC3", "DETECTOR": "IR", "CCDGAIN": 2.5}
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update(header | (primary or {}))
    for version in range(1, len(reads) + 1):
        t = len(reads) - version
        dq = None if quality is None else quality[t]
        imset = {"SCI": reads[t], "ERR": reads[t], "DQ": dq, "SAMP": None, "TIME": None}
        for name, data in imset.items():
            hdu = fits.ImageHDU(data, name=name, ver=version)
            if data is None:
                hdu.header.update({"NPIX1": SHAPE[1], "NPIX2": SHAPE[0], "PIXVALUE": 0})
            if name == "SCI":
                hdu.header.update({"BUNIT": unit, "SAMPTIME": times[t], "DELTATIM": 1.0})
            if name == "TIME":
                hdu.header["PIXVALUE"] = times[t]
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def hst_reads():
    return RNG.integers(0, 65536, (4, *SHAPE), dtype=np.uint16)


def test_raw_reads_come_in_order_of_time(tmp_path):
    reads = hst_reads()
    [ramp] = open_exposure(hst_file(tmp_path / "x_raw.fits", reads))
    np.testing.assert_array_equal(ramp.planes.read(), reads)
    np.testing.assert_array_equal(ramp.times, TIMES)
    facts = ramp.facts
    assert (facts.gain, facts.sources["gain"]) == (2.5, "header CCDGAIN")
    assert (facts.border, facts.border_sides) == (5, (False, False, True, True))
    assert (facts.frame_time, facts.saturation) == (3.0, 65535)
    assert not ramp.reference_done
    assert ramp.flags is None
    assert ramp.scratch == (None, None)


@pytest.mark.parametrize(("unit", "gain"), [("COUNTS/S", 1.0), ("ELECTRONS/S", 2.35)])
def test_rates_turn_back_into_counts(tmp_path, unit, gain):
    counts = np.cumsum(RNG.uniform(0, 1000, (4, *SHAPE)), axis=0)
    counts[0] = 0  # the zeroth read has been subtracted
    rates = (counts * gain / np.maximum(TIMES, 1)[:, None, None]).astype(np.float32)
    rates[0, 7, 7] = 500.0  # signal before the zeroth read, which the others do not have
    switches = {"BLEVCORR": "COMPLETE", "ZOFFCORR": "COMPLETE", "UNITCORR": "COMPLETE"}
    gains = {"ATODGNA": 2.34, "ATODGNB": 2.37, "ATODGNC": 2.31, "ATODGND": 2.38}
    primary = switches | gains | {"READNSEA": 20.0, "READNSEB": 20.0, "READNSEC": 20.0}
    path = hst_file(tmp_path / "x_ima.fits", rates, unit, primary | {"READNSED": 34.0})
    [ramp] = open_exposure(path)
    np.testing.assert_allclose(ramp.planes.read(), counts, rtol=3e-7)
    assert ramp.facts.gain == pytest.approx(2.35)
    assert ramp.facts.read_noise == pytest.approx(23.5 / 2.35)
    assert ramp.facts.saturation == np.inf
    assert ramp.reference_done
    assert any("ZOFFCORR" in note for note in ramp.notes)
    # Reference pixels are no rates: they are not to be used.
    assert ramp.bad_pixels[0].all()
    assert not ramp.bad_pixels[5:-5, 5:-5].any()


def test_gain_of_the_config_turns_electrons_into_counts(tmp_path):
    reads = hst_reads().astype(np.float32)
    path = hst_file(tmp_path / "x_ima.fits", reads, "ELECTRONS")
    [ramp] = open_exposure(path, DetectorConfig(gain=2.0))
    np.testing.assert_array_equal(ramp.planes.read(), reads / 2)


def test_zeroth_read_of_rates_is_per_sampzero(tmp_path):
    reads = np.ones((4, *SHAPE), np.float32)
    path = hst_file(tmp_path / "x_ima.fits", reads, "COUNTS/S", {"SAMPZERO": 3.0})
    [ramp] = open_exposure(path)
    np.testing.assert_array_equal(ramp.planes.read()[:, 8, 8], [3, 2, 5, 9])


def test_data_quality_becomes_flags(tmp_path):
    quality = np.zeros((4, *SHAPE), np.int16)
    quality[2:, 7, 8] = 256 + 32
    quality[1, 7, 9] = 2
    quality[:, 9, 9] = 4 + 16
    quality[:, 10, 10] = 512 + 8192
    [ramp] = open_exposure(hst_file(tmp_path / "x_ima.fits", hst_reads(), quality=quality))
    flags = ramp.flags.read_stored()
    np.testing.assert_array_equal(flags[:, 7, 8], [0, 0, 2, 2])
    np.testing.assert_array_equal(flags[:, 7, 9], [0, 1, 0, 0])
    assert flags.sum() == 5
    np.testing.assert_array_equal(np.argwhere(ramp.bad_pixels), [[9, 9]])


def test_constant_images_are_filled_in(tmp_path):
    reads = list(hst_reads())
    reads[0] = None  # a zeroth read of zeros
    quality = [None, np.full(SHAPE, 256, np.int16), None, None]
    [ramp] = open_exposure(hst_file(tmp_path / "x_ima.fits", reads, quality=quality))
    got = ramp.planes.read()
    assert not got[0].any()
    np.testing.assert_array_equal(got[1:], reads[1:])
    assert (ramp.flags.read_stored() == np.array([0, 2, 0, 0])[:, None, None]).all()


def test_calibrated_image_and_disordered_times_are_refused(tmp_path):
    with pytest.raises(OhanaError, match=r"3 reads, got 1 \(a calibrated image, _flt\?\)"):
        open_exposure(hst_file(tmp_path / "x_flt.fits", hst_reads()[:1]))
    path = hst_file(tmp_path / "y.fits", hst_reads(), times=TIMES[::-1].copy())
    with pytest.raises(OhanaError, match="SAMPTIME.* that ascend"):
        open_exposure(path)


def test_pixels_that_the_missions_suspect(tmp_path):
    quality = np.zeros((4, *SHAPE), np.int16)
    quality[:, 7, 7], quality[2, 8, 8], quality[:, 9, 9] = 16 | 32, 32, 512
    [ramp] = open_exposure(hst_file(tmp_path / "x_raw.fits", hst_reads(), quality=quality))
    assert ramp.suspect[7, 7] == 0b1010
    assert ramp.suspect[8, 8] == 0b1000
    assert np.count_nonzero(ramp.suspect) == 2
    assert ramp.bad_pixels is None
    pixels = np.zeros((8, 8), np.uint32)
    pixels[1, 2], pixels[3, 4], pixels[5, 6] = 1, 2048 | 32768 | 2**31, 2**31
    [ramp, *_] = open_exposure(jwst_file(tmp_path / "a.fits", uncal(), PIXELDQ=pixels))
    assert ramp.suspect[3, 4] == 0b10010
    assert np.count_nonzero(ramp.suspect) == 1
    [ramp, *_] = open_exposure(jwst_file(tmp_path / "b.fits", uncal(), PIXELDQ=0 * pixels))
    assert ramp.suspect is None
