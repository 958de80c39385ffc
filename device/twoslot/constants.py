# Numbers and names that several modules share. `slotbench.mpy` puts their values into the code that
# it builds: a board has no such file.
from micropython import const

# The flash and what lies in a slot (FORMATS.md, flash map, 2, 5).
BLOCK = const(4096)  # bytes of a block of the image, and of an erase sector
PIECE = const(512)  # bytes that are read or written at once: the heap seldom has 4 KB in one piece
TABLE_ENTRY = const(16)  # bytes of the block table for each block
PAGE = const(256)
SEALED = const(128)  # bytes of a page before its open words

# State of a slot (FORMATS.md, boot journal).
SLOT_EMPTY = const(0)
SLOT_READY = const(1)
SLOT_CONFIRMED = const(2)
SLOT_BAD = const(3)

# Report for the server (FORMATS.md, boot journal).
REPORT_CONFIRMED = const(1)
REPORT_BAD = const(2)
REPORT_UNPROVEN = const(3)
REPORT_LAST_RESORT = const(4)
REPORT_JOURNAL_LOST = const(5)
REPORT_SAFE_MODE = const(6)
REPORT_LOW_MEMORY = const(7)

# In rounds of a cell: the last trial of unproven_counter never reached the boot hook.
NEVER_REACHED = const(256)
ROUNDS_MOST = const(255)  # the number in rounds, of a cell and of an application record

# Boot reason: the row of the loader's decision (FORMATS.md, RTC tail; boot-table.md).
BOOT_ORDINARY = const(1)
BOOT_TRIAL = const(2)
BOOT_FALLBACK = const(3)
BOOT_NO_JOURNAL = const(4)
BOOT_NO_JOURNAL_UNCONFIRMED = const(5)
BOOT_LAST_RESORT = const(6)

# Without a turn of the updater: so many starts may be a loop, so many wakes from deep sleep lead to a
# check (recovery.md).
LOOP_STARTS = const(20)
LOOP_WAKES = const(40)

# Counters (FORMATS.md, release): this bit and those above are set for a development release.
DEVELOPMENT_BIT = const(31)

# States of the agent, in the order of an update.
STATE_IDLE = const(0)
STATE_HEAD = const(1)  # the next piece of work is the head
STATE_RELEASE = const(2)
STATE_TABLE = const(3)
STATE_SCAN = const(4)
STATE_DOWNLOAD = const(5)
STATE_VERIFY = const(6)
STATE_ACTIVATE = const(7)
STATE_DONE = const(8)
# Of an application, before the firmware that comes with it.
STATE_APP = const(9)  # the next piece of work is its document
STATE_LIST = const(10)
STATE_FILES = const(11)  # the spare folder is prepared
STATE_UNPACK = const(12)
STATE_PACK = const(13)  # a pack of twoslot comes, before the spare folder is prepared

# Stages of the agent: modules (agent.py). A short text would be a name, which stays for ever.
STAGE_FACTS = const("twoslot.boot.facts")
STAGE_DOCUMENTS = const("twoslot.http.documents")
STAGE_REPORT = const("twoslot.http.report")
STAGE_VERIFY = const("twoslot.trust.verify")
STAGE_HEAD = const("twoslot.boot.head")
STAGE_KNOWN_HEAD = const("twoslot.http.known_head")
STAGE_HOOK_LINE = const("twoslot.hook_line")
STAGE_SPARE = const("twoslot.boot.spare")
STAGE_SCAN = const("twoslot.image.scan")
STAGE_CHOICE = const("twoslot.patch.choice")
STAGE_PATCH = const("twoslot.patch.blocks")
STAGE_REQUEST = const("twoslot.image.request")
STAGE_TABLE = const("twoslot.image.table")
STAGE_DOWNLOAD = const("twoslot.image.download")
STAGE_TRIAL = const("twoslot.boot.trial")
STAGE_APP_LISTING = const("twoslot.application.listing")
STAGE_APP_PACK = const("twoslot.application.pack")
STAGE_APP_PREPARATION = const("twoslot.application.preparation")
STAGE_APP_PATCH = const("twoslot.application.patch")
STAGE_APP_FILES = const("twoslot.application.unpacking")
STAGE_APP_VERIFICATION = const("twoslot.application.verification")
STAGE_APP_ACTIVATION = const("twoslot.application.activation")
STAGE_RESUME = const("twoslot.resume")

# What is to be told to the server, in the list of telemetry.py: these are its places.
TELEMETRY = const("twoslot.telemetry")
T_START = const(0)  # a number drawn at the start
T_NUMBER = const(1)  # of the last report
T_EVENT = const(2)  # what waits to be reported, 0: nothing
T_CODE = const(3)  # of the last error that was not reported
T_WHERE = const(4)
T_TOLD = const(5)  # code and place of the error that was reported last
T_SEEN = const(6)  # the newest entry of the log
T_TRIAL = const(7)  # True while this start is a trial
T_QUARTER = const(8)  # quarters of the image that were reported
T_NEXT = const(9)  # the stage that follows
T_BODY = const(10)  # a report that the server has not answered
T_REFUSED = const(11)  # True when the server takes no reports

# Events of a report (FORMATS.md, board report).
EVENT_START = const(1)
EVENT_DOWNLOAD = const(2)
EVENT_ERROR = const(3)
EVENT_CONFIRMED = const(4)

# What is done for a document, in this order.
PHASE_GET = const(0)
PHASE_KEYS = const(1)
PHASE_READ = const(2)
PHASE_SUMS = const(3)
PHASE_PAYLOAD = const(4)  # what follows is the policy

# What is done to pin new keys, in this order.
PHASE_COPY = const(1)
PHASE_JOURNAL = const(2)
PHASE_FILE = const(3)

RTC_TAIL = const(0x600013E0)  # the last 32 bytes of RTC memory: what the loader did (FORMATS.md, RTC tail)

# What tick() writes into the retained words (retained.py) without a module: the stack may be used up.
RETAINED_TURNS = const(0x600013D8)
BUSY_BIT = const(24)
CHECK_FIRST_BIT = const(27)
STARVED_BIT = const(28)

COPIES = const(8)  # fills of the exec window that a trial may begin: design.md, chosen numbers
PATCH_TRIES = const(3)  # lost connections in a row, without a block gained, before a patch is given up
POLL_MS = const(5)  # between two looks at a silent connection
NAME_MS = const(300)  # between two looks of a broker or a clock for the address of its name
DELAY_MS = const(300000)  # as long, the application's function may put a restart off, if no setting says else
RETRY_MS = const(60000)  # to the next attempt after one that left no trace
SPREAD_MS = const(30000)  # over which the boards of a whole street spread their first check

# Documents and HTTP (FORMATS.md, signed documents, 10).
KEY_BYTES = const(384)  # of a modulus and of a signature
KEYS_DIGEST = const(16)  # bytes of a keys document's digest that the journal holds
DOCUMENT_MOST = const(4096)  # bytes of the longest document
HEAD_MOST = const(1536)  # bytes of the longest head
HEAD_USUAL = const(1024)  # bytes that a head does not have in fact
DOCUMENT_END = const(531)  # bytes of its second line and of the line break before it
BODY_MOST = const(0x1000000)  # bytes of the longest body
SEND_S = const(10)  # seconds that sending may take

EPOCH_2000 = const(946684800)  # a board counts seconds from 2000, documents from 1970
CLOCK_SET = const(600000000)  # January 2019 in seconds from 2000: a clock that says less was never set

# Files (FORMATS.md, files on the board).
KEYS_FILE = const("/twoslot.keys")
KEYS_COPY = const("/twoslot.keys2")
SECRET_FILE = const("/twoslot.secret")
WHY_FILE = const("/twoslot.why")
LIST_PART = const("/twoslot.list.part")
PACK_FILE = const(b"twoslot.pack")  # in a file list: twoslot itself, for boards without the loader

# Applications (FORMATS.md, application record): the record is a list, these are the places of its fields.
# Those of folder A come first; those of B follow at the next place, the range of firmware at the second next.
APP_SEQUENCE = const(1)
APP_ACTIVE = const(2)
APP_STATE = const(3)
APP_ATTEMPTS = const(5)
APP_REPORT = const(6)
APP_ROUNDS = const(7)
APP_UNDER_WAY = const(8)
APP_ENDED = const(9)
APP_COUNTER = const(10)
APP_FLOOR = const(12)
APP_BAD = const(13)
APP_UNPROVEN = const(14)
APP_REPORT_COUNTER = const(15)
APP_FIRMWARE = const(16)  # low of A, high of A, low of B, high of B
APP_ABI = const(20)
APP_DATA = const(22)
APP_DATA_LEAST = const(24)
APP_LIST = const(25)
APP_PACK = const(27)
APP_STARTS = const(28)
APP_HEAD_SEQ = const(29)
APP_HEAD_TIME = const(30)
APP_KEY_EPOCH = const(31)
APP_TAG = const(32)
APP_KEYS = const(33)
APP_WITH = const(34)
APP_NEXT_FLOOR = const(35)
APP_OUTSIDE = const(2)  # APP_ACTIVE while /main.py runs
APP_FOLDERS = const("/app_a/app_b")  # six characters each

# What the stages of an application leave to one another, in agent.progress: a list, these are its places.
P_DIGEST = const(0)  # what is hashed now
P_NUMBER = const(1)  # of the line
P_PREVIOUS = const(2)  # path of the line before
P_LEFT = const(3)  # bytes that are still to come, of the list or of a file
P_BUFFER = const(4)
P_FILLED = const(5)  # bytes in the buffer
P_ENTRY = const(6)  # the line: digest in hex, length, path
P_PHASE = const(7)
P_LIST = const(8)  # the list, open
P_SOURCE = const(9)  # files, open
P_TARGET = const(10)
P_SIZE = const(11)  # sum of the lengths
P_BLOCKS = const(12)
P_FOLDER = const(13)  # the spare folder, "/app_a" or "/app_b"
P_RUNNING = const(14)  # where the application is that runs, None without one; last, the digest of the list
