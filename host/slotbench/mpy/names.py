"""Names by where they are known: what may not be renamed, and what a name may be renamed to."""

from __future__ import annotations

from typing import Final

__all__ = ["ASKED_FOR", "CHIP", "IN_EVERY_FIRMWARE", "RECORD_KEYS"]

ASKED_FOR: Final = frozenset(
    """
    status check update confirm rollback log tick task before_restart listen watch deep before_main
    count_start watch_program drop deadline __version__
    _agent _log _pollers load_agent state blocks_in_place begin next until response is_signature
    """.split()
)
"""What programs, people and the bench ask the device package for."""

RECORD_KEYS: Final = frozenset(
    "ways unproven rounds waiting tag pieces missing left told sha scans nc blank".split())
"""Keys of dicts that never leave the package: as strings too they may be renamed."""

CHIP: Final = frozenset(
    """
    flash_read flash_write flash_erase flash_id mem32 reset unique_id Timer init deinit period mode callback
    ONE_SHOT WLAN STA_IF isconnected ticks_ms ticks_diff ticks_add sleep_ms urandom const read write readinto
    close sock keepalive feed
    """.split()
)
"""Attributes of MicroPython's modules and objects that the package's own could be taken for."""

IN_EVERY_FIRMWARE: Final = tuple(
    """
    abs all any append args bool builtins bytearray bytecode bytes callable chr classmethod clear
    close copy count dict dir divmod end endswith eval exec extend find format from_bytes get
    getattr globals hasattr hash id index insert int isalpha isdigit isinstance islower isspace
    issubclass isupper items iter join key keys list little locals lower lstrip map micropython next
    object ord pop popitem pow print range read readinto readline remove replace repr reverse rfind
    rindex round rsplit rstrip send sep set setattr setdefault sort sorted split start startswith
    staticmethod step stop str strip sum super throw to_bytes tuple type update upper value values
    write zip
    sleep sleep_us sleep_ms gmtime localtime mktime listdir chdir mkdir rename rmdir getcwd statvfs
    unlink bind listen accept sendto recvfrom setsockopt makefile setblocking AF_INET AF_INET6
    SOCK_STREAM SOCK_DGRAM hexlify unhexlify a2b_base64 b2a_base64 heappush heappop heapify
    namedtuple deque OrderedDict popleft appendleft pack pack_into unpack unpack_from calcsize sqrt
    exp cos sin tan acos asin atan atan2 ceil floor fabs fmod frexp ldexp modf isfinite isinf isnan
    trunc radians degrees Timer Signal sizeof
    addressof bytes_at bytearray_at struct ARRAY PTR UINT8 UINT16 UINT32 INT8 INT16 INT32 FLOAT32
    FLOAT64 BIG_ENDIAN LITTLE_ENDIAN NATIVE DeflateIO AUTO RAW ZLIB GZIP match search sub
    group compile register unregister modify poll ipoll POLLIN POLLOUT POLLERR POLLHUP StringIO
    BytesIO flush seek tell getvalue readlines errorcode EACCES EADDRINUSE EAGAIN EALREADY EBADF
    ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH EINPROGRESS EINVAL EIO EISDIR ENOBUFS
    ENODEV ENOENT ENOMEM ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT ArithmeticError AssertionError
    AttributeError EOFError GeneratorExit ImportError IndentationError IndexError KeyboardInterrupt
    LookupError NameError NotImplementedError OverflowError RuntimeError StopIteration SyntaxError
    SystemExit UnicodeError ZeroDivisionError Ellipsis StopAsyncIteration enumerate filter frozenset
    reversed slice hex oct bin min max complex memoryview property implementation platform version
    version_info byteorder maxsize exit modules path argv print_exception mem_alloc mem_free
    threshold isenabled enable disable collect mem_info qstr_info stack_use heap_lock heap_unlock
    opt_level kbd_intr getrandbits seed random urandom mount umount VfsLfs2 VfsFat ilistdir ioctl
    readblocks writeblocks choice randint randrange uniform FrameBuffer fill fill_rect pixel hline
    vline ellipse poly blit scroll MONO_VLSB MONO_HLSB MONO_HMSB RGB565 GS2_HMSB GS4_HMSB GS8 coro
    data ph_key cur_task TaskQueue Task peek pi copysign schedule stdin stdout stderr dump dumps
    loads idle mem8 mem16 time_pulse_us ticks_us ticks_cpu time_ns invert off sendall start_server
    open_connection StreamReader StreamWriter create_task current_task run wait_for wait_for_ms gather
    Event Lock Stream Loop ThreadSafeFlag CancelledError TimeoutError get_event_loop new_event_loop
    done cancel wait acquire release locked is_set drain readexactly wait_closed get_extra_info
    run_forever run_until_complete call_exception_handler set_exception_handler
    default_exception_handler INT UINT SHORT USHORT LONG ULONG LONGLONG INT64 UINT64 VOID BFUINT8
    BF_POS BF_LEN RingIO native viper sync stat getaddrinfo settimeout SO_BROADCAST IOBase _ on sha1
    aes re vfs tls math array heapq uctypes errno select deflate framebuf cryptolib asyncio binascii
    collections getter setter deleter default iterable closure function generator iterator module
    NoneType FileIO TextIOWrapper bound_method dict_view pend_throw encoding buffering separators ps1
    ps2 mkfs mtime readsize progsize lookahead readonly encrypt decrypt server_side server_hostname
    ptr8 ptr16 ptr32 uint flags backlog timeout waiter _io_queue _dequeue _enqueue
    _stopper _stop_task _serve urls hashes short_hash latest deps dest
    exc sgen ticks waiting poller out_buf main_task exc_type queue_read queue_write wait_io_event aclose
    awritestr stream_awrite peername IOQueue Server core runq_len waitq_len newline buffer
    SOL_SOCKET SO_REUSEADDR SOCK_RAW SSLContext SSLSocket wrap_socket websocket libc_ver python_compiler
    ViperTypeError BFINT8 BFINT16 BFINT32 BFUINT16 BFUINT32 ULONGLONG MVLSB FrameBuffer1 sha256
    discard intersection intersection_update isdisjoint issubset issuperset symmetric_difference union
    fromkeys delattr load content reason status_code
    Pin ADC PWM UART SPI I2C duty deepsleep lightsleep decompress
    """.split()
)
"""In flash in every build for the ESP8266 with 2 MB and more: the names that the .mpy format numbers
(py/makeqstrdata.py, static_qstr_list), and those of modules, types and constants that MicroPython
documents for this port, those inside the frozen asyncio and mip among them. Those that a build for a PC
lacks come last: the heap is measured with one.
"""
