/* An emulated ESP8266: what the host sees of it.
 *
 * No globals and no calls of the operating system but for memory; the same seed and the same calls give the same run.
 * Time is counted in ticks of 1/160 microsecond. One instruction is one CPU cycle: two ticks at 80 MHz, one at 160.
 */
#ifndef CHIP_CORE_H
#define CHIP_CORE_H

#include <stdint.h>

#define CHIP_API_VERSION 2
#define CHIP_TICKS_PER_US 160u

struct chip;

enum chip_cause {
    CHIP_POWER_ON = 1, /* RAM and RTC memory become noise of the seed */
    CHIP_RESET_PIN = 2,
    CHIP_SOFTWARE = 3, /* 0x60000700 bit 31: the cause register keeps what it has */
    CHIP_WATCHDOG = 4,
    CHIP_WAKE = 5      /* from deep sleep */
};

enum chip_reason {
    CHIP_LIMIT = 0,       /* the time asked for is over */
    CHIP_BREAKPOINT = 1,  /* pc: before the instruction there */
    CHIP_HYPERCALL = 2,   /* value: what was written to 0x6000FE00 */
    CHIP_IDLE = 3,        /* it waits, and no event is planned; with chip_pause_idle: it waits, to next_tick */
    CHIP_RESTART = 4,     /* 0x60000700 bit 31 was set: call chip_reset(CHIP_SOFTWARE) */
    CHIP_DEEP_SLEEP = 5,  /* next_tick: when the RTC wakes it; UINT64_MAX: only the reset pin does */
    CHIP_FAULT = 6,       /* an exception within an exception, when chip_stop_on asks for it */
    CHIP_WATCHDOG_BIT = 7,/* second stage: call chip_reset(CHIP_WATCHDOG) */
    CHIP_FLASH = 8,       /* a flash callback refused (power cut, violation): the chip is dead */
    CHIP_OUTPUT = 9,      /* a ring of transmitted bytes is half full, or chip_stop_on asks for each byte: read it */
    CHIP_EXCEPTION = 10,  /* pc: the instruction; value: EXCCAUSE, when chip_stop_on asks for it */
    CHIP_OFF = 11         /* no power */
};

/* Why the machine stopped, and where. */
struct chip_stop {
    uint32_t reason, pc, value, address;
    uint64_t next_tick; /* the next event that is planned; UINT64_MAX: none */
};

/* Flash operations, answered by the host: non-zero stops the chip with CHIP_FLASH. `busy_us` is how long it takes. */
struct chip_flash_calls {
    int (*program)(void *host, uint32_t offset, const uint8_t *data, uint32_t bytes, uint32_t *busy_us);
    int (*erase)(void *host, uint32_t offset, uint32_t bytes, uint32_t *busy_us);
    int (*read)(void *host, uint32_t offset, uint8_t *data, uint32_t bytes);
};

/* What the host's parts hear. `pins`: the chip has changed what it does to the pins `touched`: it drives those in `driven`
 * to `levels`. `bus`: something happened on a bus; what it returns is meant by the event. */
struct chip_part_calls {
    void (*pins)(void *host, uint32_t levels, uint32_t driven, uint32_t touched);
    int (*bus)(void *host, int bus, int event, int value);
};

enum chip_bus_kind { CHIP_I2C = 0, CHIP_SPI = 1 };
enum chip_bus_event {
    CHIP_BUS_START = 0,    /* I2C: value is address and direction; returns whether a part acknowledges */
    CHIP_BUS_WRITE = 1,    /* I2C: a byte for the part; returns whether it acknowledges */
    CHIP_BUS_READ = 2,     /* I2C: returns the next byte of the part */
    CHIP_BUS_STOP = 3,     /* I2C */
    CHIP_BUS_SELECT = 4,   /* SPI: returns the first byte of the part */
    CHIP_BUS_EXCHANGE = 5, /* SPI: a byte for the part; returns its next one */
    CHIP_BUS_DESELECT = 6  /* SPI */
};

/* The registers, for the debugger's side. */
struct chip_registers {
    uint32_t a[16], pc, ps, sar, epc1, epc3, depc, exccause, excvaddr, interrupt, intenable, vecbase, ccount;
};

/* The last exception that was no interrupt, as it was raised. */
struct chip_exception {
    uint32_t count, cause, pc, address, ps;
    uint32_t a[16];
    uint64_t tick;
};

/* What the chip counted. */
struct chip_counters {
    uint64_t ticks, cycles, instructions, skipped_cycles;
    uint32_t exceptions, double_exceptions, interrupts, nmis, resets, flash_busy, flash_unlatched, cache_off,
        uart_overflows, watchdog_stages, idle_skips, unused;
};

struct chip *chip_new(uint64_t seed);
void chip_free(struct chip *);
uint32_t chip_api_version(void);

/* The flash: `bytes` a power of two from 512 KB to 16 MB. chip_flash_update shows the chip what cells hold now. */
int chip_flash_attach(struct chip *, uint32_t bytes, uint32_t jedec_id, const struct chip_flash_calls *, void *host);
void chip_flash_update(struct chip *, uint32_t offset, const void *, uint32_t bytes);
void chip_flash_slow_reads(struct chip *, int on);  /* READ commands go to the callback (weak bits) */

/* Memory without side effects; non-zero when a byte lies where nothing is. chip_load also fills the ROM. */
int chip_load(struct chip *, uint32_t address, const void *, uint32_t bytes);
int chip_read(struct chip *, uint32_t address, void *, uint32_t bytes);
int chip_write(struct chip *, uint32_t address, const void *, uint32_t bytes);
void chip_scratch(struct chip *, int on);            /* 128 KB of RAM at 0x3FFA0000 that the real chip lacks */

void chip_reset(struct chip *, int cause);
void chip_power_off(struct chip *);
void chip_sleep(struct chip *, uint64_t ticks);      /* time passes while the CPU is off */
struct chip_stop chip_run(struct chip *, uint64_t until_tick);
struct chip_stop chip_step(struct chip *);           /* one instruction */
void chip_stop_on(struct chip *, int reason, int on);/* CHIP_FAULT, CHIP_EXCEPTION, CHIP_OUTPUT */
void chip_idle_skip(struct chip *, int on);          /* skip waiting loops (on from the start) */
void chip_pause_idle(struct chip *, int on);         /* stop with CHIP_IDLE where it would skip */
void chip_stack_mark(struct chip *, uint32_t floor); /* from now on note the lowest stack pointer above `floor` */
uint32_t chip_stack_lowest(struct chip *);           /* since the mark; 0xFFFFFFFF: none */

void chip_breakpoint(struct chip *, uint32_t address, int on);
void chip_get_registers(struct chip *, struct chip_registers *);
void chip_set_register(struct chip *, int number, uint32_t);  /* 0-15, 16: pc */
uint32_t chip_special(struct chip *, int number);
void chip_set_special(struct chip *, int number, uint32_t);
void chip_get_counters(struct chip *, struct chip_counters *);
void chip_get_exception(struct chip *, struct chip_exception *);
uint64_t chip_ticks(struct chip *);

/* UARTs. What is sent to the chip arrives byte by byte at `baud`; returns how many bytes found room. */
void chip_uart_baud(struct chip *, uint32_t baud);
uint32_t chip_uart_send(struct chip *, const void *, uint32_t bytes);
uint32_t chip_uart_waiting(struct chip *);           /* sent and not yet arrived */
uint32_t chip_uart_take(struct chip *, int uart, void *, uint32_t bytes);
uint32_t chip_uart_divisor(struct chip *, int uart);

/* GPIO 0-16. level: 0, 1, or -1 for nobody drives it. */
void chip_drive(struct chip *, int gpio, int level);
int chip_pin(struct chip *, int gpio);               /* level on the pin */
int chip_pin_driven(struct chip *, int gpio);        /* whether the chip drives it */
int chip_wire(struct chip *, int from, int to);      /* a jumper: `to` has the level of `from` unless it is driven */
uint64_t chip_pin_high_ticks(struct chip *, int gpio);
uint64_t chip_pin_edges(struct chip *, int gpio);
void chip_adc(struct chip *, uint32_t tenths_of_mv); /* at A0 of the chip: 10000 is full scale */

/* Parts on the pins. A bus is known by the number that chip_bus returns; -1 for a pin that is not wired. */
void chip_parts(struct chip *, const struct chip_part_calls *, void *host);
void chip_watch(struct chip *, uint32_t gpios);
void chip_unwire(struct chip *);                     /* no bus, jumper, watch, plan, or level from outside */
int chip_drive_at(struct chip *, int gpio, int level, uint64_t tick);
void chip_forget_plans(struct chip *, int gpio);
int chip_bus(struct chip *, int kind, int clock, int data, int answer, int select);

void chip_straps(struct chip *, uint32_t mode);      /* 3: from flash, 1: download */
void chip_mac(struct chip *, const uint8_t mac[6]);

#endif
