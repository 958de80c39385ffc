"""Reading signed documents from files. Signatures are checked, and errors name the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from slotbench.errors import BenchError
from slotbench.formats import FormatError, application, document
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.document import DOCUMENT_BYTES_MAX, Document
from slotbench.formats.fields import kind_of
from slotbench.formats.head import Head
from slotbench.formats.keys import Keys, Role
from slotbench.formats.release import Release
from slotbench.release.files import read_bytes

_T = TypeVar("_T")

_GET_IT_AGAIN = "get the file again, or make it again"


@contextmanager
def naming_file(path: Path, cure: str = "") -> Iterator[None]:
    """Add the file to a FormatError that is raised inside, and the `cure` if it has none."""
    try:
        yield
    except FormatError as error:
        error.cure = error.cure or cure
        raise error.within(str(path)) from None


@contextmanager
def curing(cure: str) -> Iterator[None]:
    """Give the errors that are raised inside this cure."""
    try:
        yield
    except BenchError as error:
        error.cure = cure
        raise


def read_release_payload(path: Path) -> bytes:
    """Read line 1 of a release, signed or not. Raises BenchError, FormatError."""
    text = read_bytes(path, DOCUMENT_BYTES_MAX)
    with naming_file(path, _GET_IT_AGAIN):
        payload = document.read_payload(text)
        Release.from_payload(payload)
        return payload


def read_unsigned(path: Path) -> tuple[bytes, Release | ApplicationDocument]:
    """Read line 1 of a release or an application, signed or not. Raises BenchError, FormatError."""
    text = read_bytes(path, DOCUMENT_BYTES_MAX)
    with naming_file(path, _GET_IT_AGAIN):
        payload = document.read_payload(text)
        if kind_of(payload) == application.KIND:
            return payload, ApplicationDocument.from_payload(payload)
        return payload, Release.from_payload(payload)


def read_keys(path: Path) -> tuple[Document, Keys]:
    """Read a keys document that one of its own offline keys signed. Raises BenchError, FormatError."""
    signed, keys = _read_document(path, Keys.from_payload)
    check_signature(signed, keys, Role.OFFLINE, str(path))
    return signed, keys


def read_release(path: Path, keys: Keys) -> tuple[Document, Release]:
    """Read a release of the keys' product that one of its offline keys signed.

    Raises BenchError, FormatError.
    """
    signed, release = _read_document(path, Release.from_payload)
    check_signature(signed, keys, Role.OFFLINE, str(path))
    check_product(release, keys, str(path))
    return signed, release


def read_application(path: Path, keys: Keys) -> tuple[Document, ApplicationDocument]:
    """Read an application of the keys' product that one of its offline keys signed.

    Raises BenchError, FormatError.
    """
    signed, found = _read_document(path, ApplicationDocument.from_payload)
    check_signature(signed, keys, Role.OFFLINE, str(path))
    check_product(found, keys, str(path))
    return signed, found


def read_head(path: Path) -> tuple[Document, Head]:
    """Read a head without checking its signature, which needs the keys of its epoch.

    Raises BenchError, FormatError.
    """
    return _read_document(path, Head.from_payload)


def check_product(signed: Release | ApplicationDocument, keys: Keys, where: str) -> None:
    """Raise BenchError unless the release or application and the keys are of the same product."""
    if signed.product != keys.product:
        what = "release" if isinstance(signed, Release) else "application"
        raise BenchError(
            f"{what} is for {signed.product}, the keys are for {keys.product}", where=where,
            cure="use the keys of its product")


def check_signature(signed: Document, keys: Keys, role: Role, where: str) -> None:
    """Raise BenchError unless a key of `keys` with this role signed the document."""
    if keys.verifies(signed, role):
        return
    signer = keys.role_of_signer(signed)
    if signer is role:
        what, cure = "signature is wrong: the document was altered", "build and sign it again"
    elif signer:
        what, cure = f"signed by the {signer} key", f"sign it with an {role} key"
    else:
        what = f"key {signed.key_id} is not a key of {keys.product}"
        cure = f"sign it with an {role} key of that product"
    raise BenchError(what, where=where, cure=cure)


def _read_document(path: Path, parse: Callable[[bytes], _T]) -> tuple[Document, _T]:
    text = read_bytes(path, DOCUMENT_BYTES_MAX)
    with naming_file(path, _GET_IT_AGAIN):
        signed = document.split_document(text)
        return signed, parse(signed.payload)
