"""What MicroPython on the ESP8266 has: modules and their names, builtins, methods it lacks.

Read in MicroPython v1.20 to v1.28: ports/esp8266/mpconfigport.h (level EXTRA_FEATURES less what it
switches off), py/modbuiltins.c, py/objstr.c, py/objint.c and extmod/mod*.c.
"""

from __future__ import annotations

_MODULES = {
    "array": "array",
    "asyncio": "*",
    "binascii": "hexlify unhexlify a2b_base64 b2a_base64",
    "collections": "OrderedDict deque namedtuple",
    "deflate": "DeflateIO AUTO RAW ZLIB GZIP",
    "zlib": "DecompIO",
    "errno": "*",
    "esp": "*",
    "gc": "collect disable enable isenabled mem_alloc mem_free threshold",
    "hashlib": "sha1 sha256",
    "io": "BytesIO IOBase StringIO open",
    "json": "dump dumps load loads",
    "machine": "*",
    "micropython": """
        alloc_emergency_exception_buf const heap_lock heap_unlock kbd_intr mem_info native opt_level
        qstr_info schedule stack_use viper""",
    "network": "*",
    "os": """
        VfsLfs2 chdir dupterm getcwd ilistdir listdir mkdir mount remove rename rmdir sep stat statvfs
        sync umount uname unlink urandom""",
    "random": "getrandbits seed",
    "select": "POLLERR POLLHUP POLLIN POLLOUT poll select",
    "socket": """
        AF_INET IPPROTO_TCP SOCK_DGRAM SOCK_STREAM SOL_SOCKET SO_BROADCAST SO_REUSEADDR TCP_NODELAY
        getaddrinfo socket""",
    "struct": "calcsize pack pack_into unpack unpack_from",
    "sys": """
        argv byteorder exit implementation maxsize modules path platform print_exception stderr stdin
        stdout version version_info""",
    "time": """
        gmtime localtime mktime sleep sleep_ms sleep_us ticks_add ticks_cpu ticks_diff ticks_ms ticks_us
        time time_ns""",
    "uctypes": "*",
    "umqtt": "simple robust",
}

MODULES: dict[str, frozenset[str] | None] = {
    module: None if names == "*" else frozenset(names.split()) for module, names in _MODULES.items()
}
"""Modules that can be imported, and what they hold (None: too much to list, or all of it the chip's)."""

BUILTINS = frozenset("""
    ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis Exception GeneratorExit
    ImportError IndentationError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError
    NotImplementedError OSError OverflowError RuntimeError StopAsyncIteration StopIteration SyntaxError
    SystemExit TypeError UnicodeError ValueError ZeroDivisionError
    __build_class__ __debug__ __import__ __name__
    abs all any bin bool bytearray bytes callable chr classmethod delattr dict dir divmod enumerate eval
    exec filter float frozenset getattr globals hasattr hash help hex id input int isinstance issubclass
    iter len list locals map max memoryview min next object oct open ord pow print property range repr
    reversed round set setattr slice sorted staticmethod str sum super tuple type zip
""".split())

KEYWORDS = {
    "dict": None,
    "enumerate": frozenset({"iterable", "start"}),
    "max": frozenset({"default", "key"}),
    "min": frozenset({"default", "key"}),
    "open": frozenset({"buffering", "encoding", "file", "mode"}),
    "print": frozenset({"end", "file", "sep"}),
    "sorted": frozenset({"key", "reverse"}),
}
"""Builtins that take keyword arguments, and which (None: any). The others take none."""

POSITIONAL_METHODS = frozenset({"decode", "encode", "from_bytes", "rsplit", "split", "to_bytes"})
"""Methods of built-in types that CPython also lets one call with keywords, and the board does not."""

_OFF = "switched off on the ESP8266 port"
_NEVER = "MicroPython has none"

MISSING_METHODS = {
    **dict.fromkeys("center indices partition rpartition splitlines".split(), _OFF),
    **dict.fromkeys("""
        as_integer_ratio bit_count bit_length capitalize casefold cast expandtabs format_map hexdigest
        isalnum isascii isdecimal isidentifier isnumeric isprintable is_integer ljust maketrans
        removeprefix removesuffix rjust swapcase title tobytes translate zfill""".split(), _NEVER),
}
"""Methods of str, bytes, int, memoryview, slice and hashes that CPython has and the board lacks, and why."""

IGNORED_METHODS = frozenset({
    "__class_getitem__", "__delattr__", "__init_subclass__", "__set_name__", "__setattr__"})
"""Special methods that MicroPython never calls."""
