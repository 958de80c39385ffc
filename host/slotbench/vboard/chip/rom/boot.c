/* Start: what woke the chip, what the straps ask for, and the image at flash offset 0. */
#include "special.h"

enum { STRAPS_DOWNLOAD = 1, STRAPS_FLASH = 3 };
enum { LINE = 16, MAGIC = 0xE9, CHECKSUM_SEED = 0xEF, IMAGE_HEADER = 8, SEGMENT_HEADER = 8 };
enum { CAUSE_LAST = 6, CAUSE_WATCHDOG = 4 };

/* Nothing follows: a reset, or the watchdog where it is on, ends it. */
static void stop_forever(void)
{
    for (;;)
        __asm__ volatile("waiti 0");
}

static u32 add_checksum(const u32 *words, u32 bytes, u32 checksum)
{
    u32 value = 0;

    for (; bytes >= 4; bytes -= 4)
        value ^= *words++;
    if (bytes > 0)
        value ^= *words & ((1u << 8 * bytes) - 1);
    value ^= value >> 16;
    return (checksum ^ value ^ value >> 8) & 0xFF;
}

/* Load what the header at flash offset 0 lists; 0 with its entry, or 1. The messages are those of the chip. */
static u32 load_image(u32 *entry)
{
    u32 header[2], segment[2], line[LINE / 4], checksum = CHECKSUM_SEED, at = IMAGE_HEADER, room = LINE;

    if (SPIRead(0, header, sizeof header) != OK || (header[0] & 0xFF) != MAGIC)
        return FAIL;
    SPIReadModeCnfig(header[0] >> 16 & 0xFF);
    for (u32 left = header[0] >> 8 & 0xFF; left > 0; left--) {
        u32 tail;

        if (SPIRead(at, segment, sizeof segment) != OK)
            return FAIL;
        at += SEGMENT_HEADER;
        ets_printf("load 0x%08x, len %d, room %d \n", segment[0], segment[1], room);
        tail = segment[1] > room ? (segment[1] - room) & (LINE - 1) : 0;
        ets_printf("tail %d\n", tail);
        if (SPIRead(at, (u32 *)segment[0], segment[1]) != OK)
            return FAIL;
        at += segment[1];
        checksum = add_checksum((const u32 *)segment[0], segment[1], checksum);
        ets_printf("chksum 0x%02x\n", checksum);
        room = (LINE - (at & (LINE - 1))) & (LINE - 1);
        if (room != 0 && room < SEGMENT_HEADER && left > 1)
            ets_printf("ho 0 tail %d room %d\n", tail, room);
        room = (room - SEGMENT_HEADER) & (LINE - 1);
    }
    if (SPIRead(at & ~(u32)(LINE - 1), line, LINE) != OK)
        return FAIL;
    ets_printf("csum 0x%02x\n", line[LINE / 4 - 1] >> 24);
    if (line[LINE / 4 - 1] >> 24 != checksum) {
        ets_printf("csum err\n");
        return FAIL;
    }
    *entry = header[1];
    return OK;
}

static void run_flash(void)
{
    u32 entry;

    if (load_image(&entry) != OK) {
        ets_printf("ets_main.c\n");
        stop_forever();
    }
    ((void (*)(void))entry)();
    ets_printf("user code done\n");
}

/* Fatal exceptions before firmware has handlers of its own. */
static void report_fatal_exception(const u32 *frame, u32 cause)
{
    ets_printf("Fatal exception (%d): \n", cause);
    ets_printf("epc1=0x%08x, epc2=0x%08x, epc3=0x%08x, excvaddr=0x%08x, depc=0x%08x\n", frame[0], READ_SPECIAL(epc2),
               READ_SPECIAL(epc3), READ_SPECIAL(excvaddr), READ_SPECIAL(depc));
    stop_forever();
}

static const u8 causes[] = {0, 2, 3, 9, 20, 28, 29};

static void (*user_start)(void);

/* What main() calls once the straps' mode is done: download mode sets it. A program that is started so may set another, or none. */
void ets_set_user_start(void (*function)(void))
{
    user_start = function;
}

/* Programs that download mode loaded. One that takes itself out and returns wants what is in flash: esptool's stub does. */
static void run_loaded(void)
{
    while (user_start) {
        void (*before)(void) = user_start;

        before();
        if (user_start == before) {
            ets_printf("user code done\n");
            _ets_run();
        }
    }
}

static void run_straps(u32 straps)
{
    switch (straps & 7) {
    case STRAPS_FLASH:
        break;
    case STRAPS_DOWNLOAD:
        download_mode();
        break;
    default:
        ets_printf("waiting for host\n");
        stop_forever();
    }
}

int main(void)
{
    u32 cause = rtc_get_reset_reason(), straps = GPIO_IN >> 16;

    interrupts_reset();
    cipher_tables_reset();
    radio_table_reset();
    flashchip = (struct flashchip *)(&flashchip + 1);
    SPIParamCfg(0x1640EF, 0x400000, 0x10000, 0x1000, 0x100, 0xFFFF);
    uartAttach();
    Uart_Init(0);
    ets_install_uart_printf();
    for (u32 i = 0; i < sizeof causes; i++)
        _xtos_set_exception_handler(causes[i], (void *)report_fatal_exception);
    ets_printf("\n ets Jan  8 2013,rst cause:%d, boot mode:(%d,%d)\n\n", cause, straps & 7, straps >> 13 & 7);
    if (cause == 0 || cause > CAUSE_LAST) {
        ets_printf("unknown reset\n");
        stop_forever();
    }
    if (cause == CAUSE_WATCHDOG)
        ets_printf("wdt reset\n");
    ets_intr_unlock();
    spi_flash_attach();
    run_straps(straps);
    run_loaded();
    run_flash();
    _ets_run();
    return 0;
}
