"""Bounds what a pickle of torch may allocate, before torch reads it.

torch checks which functions a pickle calls, but not what they allocate: a file of 100 bytes may
declare a tensor of gigabytes, whose strides are zero, a storage that the file does not contain, or
call `bytearray` with a size. Here the pickle is read with inert objects in place of tensors, and
refused unless its tensors fit into the file. No code of the pickle runs.
"""

import io
import math
import pickle
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any, NamedTuple

MAX_PICKLE_BYTES = 16 * 2**20
"""Of the pickle without its tensors; that of a checkpoint with all its states has 1 MB."""
_MAX_SHARING = 4
"""How many times the bytes of a file its tensors may have together: they may share storages."""
_ZIP = b"PK\x03\x04"
_LEGACY_PICKLES = 5
"""What torch wrote before it used zip: magic number, version, system, objects, storages."""
_ITEM_BYTES = {
    "Bool": 1, "Byte": 1, "Char": 1, "Untyped": 1, "Short": 2, "Half": 2, "BFloat16": 2,
    "Int": 4, "Float": 4, "Long": 8, "Double": 8, "ComplexFloat": 8, "ComplexDouble": 16,
}  # fmt: skip


class _Storage(NamedTuple):
    item_bytes: int
    nbytes: int


class _Inert:
    """In place of any other object: takes every argument and item, and keeps none.

    Attributes:
        kind: what its class is filled like, dict or list; object: it is not filled.
    """

    kind: type = object

    def __new__(cls, *_: object, **__: object) -> "_Inert":
        return object.__new__(cls)

    def __setstate__(self, _: object) -> None: ...

    def __setitem__(self, _: object, __: object) -> None:
        type(self).kind = dict

    def append(self, _: object) -> None:
        type(self).kind = list

    def extend(self, _: object) -> None:
        type(self).kind = list


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes as pickles of Python 2 have them; other encodings could grow with every call."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("it encodes a text in another way than latin1")
    return text.encode(encoding)


_CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type_v2": lambda function, _type, arguments, _: function(
        *arguments
    ),
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "_codecs.encode": _encoded,
    "builtins.set": set,
}
_MAX_TUPLE_ITEMS = 20_000
"""Of a tuple with all tuples in it. Sixty tuples, each of which holds the one before twice, have
2**60: Python would compute their hash for ever, with all other threads waiting."""
_ENTRY_BYTES = 64
"""About what an entry of a container takes that one of these calls copies."""
_TENSORS = tuple(f"torch._utils._rebuild_tensor{end}" for end in ("", "_v2", "_v3"))
"""The functions that build a tensor; v3 those of types without a storage of their own, as float8,
whose storage counts bytes, and each of whose values has at least one."""
_ALLOCATING = (
    "torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse", "torch.storage",
    "torch.serialization", "torch._utils", "torch._tensor",
)  # fmt: skip
"""Modules whose objects may be named, such as types, but not be called."""


class _SizeReader(pickle._Unpickler):
    """Reads one pickle, and adds up the sizes of its tensors.

    Args:
        file: only the pickle.
        stored: the bytes of the storage with a key, as the file has it.
        limit: of all tensors, in bytes.
    """

    stack: list[Any]

    def __init__(self, file: io.BytesIO, stored: Callable[[str], int], limit: int) -> None:
        super().__init__(file)
        self._stored = stored
        self._left = limit
        self.names: set[str] = set()
        self.inert: dict[str, type[_Inert]] = {}
        self._tuples: dict[int, tuple[tuple[Any, ...], int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        # as torch reads the names that pickle writes for Python 2
        module, name = NAME_MAPPING.get((module, name), (module, name))
        full_name = f"{IMPORT_MAPPING.get(module, module)}.{name}"
        self.names.add(full_name)
        if full_name in _CALLS:
            return self._counted(_CALLS[full_name])
        if full_name == "torch.Size":
            return self._counted(self._size)
        if full_name in _TENSORS:
            return self._tensor
        allocates = module in _ALLOCATING or full_name.endswith(".bytearray")
        if allocates and full_name != "torch.device":
            return full_name  # a text cannot be called
        return self.inert.setdefault(full_name, type(name, (_Inert,), {}))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose copies of its arguments count: a pickle may ask for many of one."""

        def call(*arguments: Any) -> Any:
            for each in arguments:
                if isinstance(each, str):
                    self._take(len(each))
                elif isinstance(each, Sized):
                    self._take(_ENTRY_BYTES * len(each))
            return function(*arguments)

        return call

    def _size(self, items: Iterable[Any] = ()) -> tuple[int, ...]:
        return tuple(map(int, items))

    def _made_tuple(self) -> None:
        """Bound the items of the tuple on the stack, with those of all tuples in it."""
        made = self.stack[-1]
        known = (self._tuples.get(id(each)) for each in made if isinstance(each, tuple))
        items = len(made) + sum(each[1] for each in known if each)
        if items > max(_MAX_TUPLE_ITEMS, len(made)):
            raise pickle.UnpicklingError("its tuples hold one another too many times")
        self._tuples[id(made)] = made, items  # kept, so that no other gets its id

    def _take(self, nbytes: int) -> None:
        self._left -= nbytes
        if self._left < 0:
            raise pickle.UnpicklingError("what it builds is larger than the file")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _, count = pid[:5]
        if kind not in ("storage", b"storage") or not isinstance(key, str | int):
            raise pickle.UnpicklingError("it refers to something that is no storage")
        name = storage_type.rpartition(".")[2].removesuffix("Storage")
        item_bytes = _ITEM_BYTES[name]
        nbytes = int(count) * item_bytes
        if not 0 <= nbytes <= self._stored(str(key)):
            raise pickle.UnpicklingError(f"it declares {nbytes} bytes that the file does not hold")
        return _Storage(item_bytes, nbytes)

    def _tensor(self, storage: _Storage, _offset: int, size: tuple[int, ...], *_: object) -> _Inert:
        nbytes = math.prod(map(int, size)) * storage.item_bytes
        if not 0 <= nbytes <= storage.nbytes:
            raise pickle.UnpicklingError(
                f"a tensor has {nbytes} bytes, more than its storage ({storage.nbytes})"
            )
        self._take(nbytes)
        return _Inert()


def _bounded(load: Callable[[Any], None]) -> Callable[[Any], None]:
    def load_bounded(reader: Any) -> None:
        load(reader)
        reader._made_tuple()

    return load_bounded


def _refuse_protocol_4(_: Any) -> None:
    raise pickle.UnpicklingError(
        "it has pickle's protocol 4, and only 2, which torch.save writes, is read"
    )


_SizeReader.dispatch = dict(_SizeReader.dispatch)
_SizeReader.dispatch[pickle.STACK_GLOBAL[0]] = _refuse_protocol_4
for _opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    _SizeReader.dispatch[_opcode[0]] = _bounded(_SizeReader.dispatch[_opcode[0]])


def is_zip(path: Path) -> bool:
    """Whether torch reads a file as a zip archive."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def check_sizes(path: Path) -> dict[str, type]:
    """Refuse a file whose tensors do not fit into it.

    Returns:
        The full names of all objects that the file names, each with what it is filled like: dict
        or list; object: it is not filled, or torch fills it.

    Raises:
        OSError: it cannot be read.
        Exception: of any kind: it is refused, or it is no file of torch's.
    """
    size = path.stat().st_size
    if is_zip(path):
        return _check_zip(path, size)
    with path.open("rb") as whole:
        file = io.BytesIO(whole.read(MAX_PICKLE_BYTES))
    kinds: dict[str, type] = {}
    for _ in range(_LEGACY_PICKLES):
        kinds |= _read(file, lambda _key: size, size)
    return kinds


def _read(file: io.BytesIO, stored: Callable[[str], int], size: int) -> dict[str, type]:
    reader = _SizeReader(file, stored, _MAX_SHARING * size)
    reader.load()
    return {name: reader.inert.get(name, _Inert).kind for name in reader.names}


def _check_zip(path: Path, size: int) -> dict[str, type]:
    with zipfile.ZipFile(path) as archive:
        records = {info.filename: info for info in archive.infolist()}
        if len(records) != len(archive.infolist()):
            raise pickle.UnpicklingError("two records of its archive have the same name")
        if any(info.compress_type != zipfile.ZIP_STORED for info in records.values()):
            raise pickle.UnpicklingError("its archive is compressed, which torch's never are")
        if sum(info.file_size for info in records.values()) > size:
            raise pickle.UnpicklingError("the records of its archive are larger than the file")
        (name,) = (name for name in records if name.rpartition("/")[2] == "data.pkl")
        if records[name].file_size > MAX_PICKLE_BYTES:
            raise pickle.UnpicklingError(f"its pickle is larger than {MAX_PICKLE_BYTES} bytes")
        folder = name.removesuffix("data.pkl") + "data/"

        def stored(key: str) -> int:
            return records[folder + key].file_size

        file = io.BytesIO(archive.read(name))
    return _read(file, stored, size)
