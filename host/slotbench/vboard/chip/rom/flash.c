/* SPI flash through controller 0: reads, programming, erasing. Bounds are those of flashchip. 0 is success, 1 is not. */
#include "rom.h"

#define SPI(offset) REG(0x60000200 + (offset))
#define SPI_COMMAND SPI(0x00)
#define SPI_ADDRESS SPI(0x04)
#define SPI_CONTROL SPI(0x08)
#define SPI_STATUS SPI(0x10)
#define SPI_USER SPI(0x1C)
#define SPI_WORD(number) SPI(0x40 + 4 * (number))
#define SPI_STATE SPI(0xF8)

enum {
    COMMAND_READ = 1u << 31, COMMAND_WRITE_ENABLE = 1 << 30, COMMAND_READ_STATUS = 1 << 27, COMMAND_WRITE_STATUS = 1 << 26,
    COMMAND_PROGRAM = 1 << 25, COMMAND_ERASE_SECTOR = 1 << 24, COMMAND_ERASE_BLOCK = 1 << 23, COMMAND_ERASE_CHIP = 1 << 22
};
enum {
    CONTROL_QIO = 1 << 24, CONTROL_DIO = 1 << 23, CONTROL_QOUT = 1 << 20, CONTROL_DOUT = 1 << 14, CONTROL_FAST = 1 << 13,
    CONTROL_MODES = CONTROL_QIO | CONTROL_DIO | CONTROL_QOUT | CONTROL_DOUT | CONTROL_FAST
};
enum { STATUS_BUSY = 1, STATUS_WRITE_ENABLED = 2, STATUS_QUAD = 0x200 };
enum { READ_BYTES = 64, PROGRAM_BYTES = 32 };

static void run_command(u32 bit)
{
    SPI_COMMAND = bit;
    while (SPI_COMMAND != 0)
        ;
}

/* The chip's status once it is not busy any more. */
u32 SPI_read_status(struct flashchip *chip, u32 *status)
{
    u32 now;

    do {
        SPI_STATUS = 0;
        run_command(COMMAND_READ_STATUS);
        now = SPI_STATUS & chip->status_mask;
    } while (now & STATUS_BUSY);
    *status = now;
    return OK;
}

u32 SPI_write_status(struct flashchip *chip, u32 status)
{
    Wait_SPI_Idle(chip);
    SPI_STATUS = status;
    run_command(COMMAND_WRITE_STATUS);
    return OK;
}

u32 SPI_write_enable(struct flashchip *chip)
{
    u32 status;

    Wait_SPI_Idle(chip);
    run_command(COMMAND_WRITE_ENABLE);
    do
        SPI_read_status(chip, &status);
    while (!(status & STATUS_WRITE_ENABLED));
    return OK;
}

u32 Wait_SPI_Idle(struct flashchip *chip)
{
    u32 status;

    while (SPI_STATE & 7)
        ;
    return SPI_read_status(chip, &status);
}

/* Four data lines: the chip wants its bit for it set once. */
u32 Enable_QMode(struct flashchip *chip)
{
    u32 status;

    SPI_read_status(chip, &status);
    if (status & STATUS_QUAD)
        return OK;
    SPI_write_enable(chip);
    SPI_write_status(chip, status | STATUS_QUAD);
    return Wait_SPI_Idle(chip);
}

/* Modes as in byte 2 of an image's header: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT, 4 fast, others slow. */
u32 SPIReadModeCnfig(u32 mode)
{
    u32 bits = mode == 0 ? CONTROL_QIO : mode == 1 ? CONTROL_QOUT : mode == 2 ? CONTROL_DIO : mode == 3 ? CONTROL_DOUT : 0;

    if (mode <= 1)
        Enable_QMode(flashchip);
    SPI_CONTROL = (SPI_CONTROL & ~(u32)CONTROL_MODES) | bits | (mode <= 4 ? CONTROL_FAST : 0);
    return OK;
}

u32 SPIParamCfg(u32 id, u32 chip, u32 block, u32 sector, u32 page, u32 mask)
{
    *flashchip = (struct flashchip){id, chip, block, sector, page, mask};
    return OK;
}

/* All protection bits, or none. */
u32 SPILock(void)
{
    SPI_write_enable(flashchip);
    return SPI_write_status(flashchip, 0x1C);
}

u32 SPIUnlock(void)
{
    SPI_write_enable(flashchip);
    return SPI_write_status(flashchip, 0);
}

static u32 is_out_of_bounds(u32 at, u32 bytes)
{
    return at + bytes > flashchip->chip_size || at + bytes < at;
}

/* Whole words are stored: up to 3 bytes behind the end of what was asked for. */
u32 SPIRead(u32 at, u32 *to, u32 bytes)
{
    if (is_out_of_bounds(at, bytes))
        return FAIL;
    Wait_SPI_Idle(flashchip);
    while (bytes > 0) {
        u32 now = bytes < READ_BYTES ? bytes : READ_BYTES;

        SPI_ADDRESS = (at & 0xFFFFFF) | now << 24;
        run_command(COMMAND_READ);
        for (u32 i = 0; i < (now + 3) / 4; i++)
            *to++ = SPI_WORD(i);
        at += now;
        bytes -= now;
    }
    return OK;
}

static void change_flash(u32 bit, u32 address)
{
    SPI_write_enable(flashchip);
    SPI_ADDRESS = address;
    run_command(bit);
    Wait_SPI_Idle(flashchip);
}

/* No program run_command crosses a page of the chip. */
u32 SPIWrite(u32 at, const u32 *from, u32 bytes)
{
    if (is_out_of_bounds(at, bytes))
        return FAIL;
    while (bytes > 0) {
        u32 page = flashchip->page_size - (at & (flashchip->page_size - 1));
        u32 now = bytes < PROGRAM_BYTES ? bytes : PROGRAM_BYTES;

        if (now > page)
            now = page;
        Wait_SPI_Idle(flashchip);
        for (u32 i = 0; i < (now + 3) / 4; i++)
            SPI_WORD(i) = *from++;
        change_flash(COMMAND_PROGRAM, (at & 0xFFFFFF) | now << 24);
        at += now;
        bytes -= now;
    }
    return OK;
}

u32 SPIEraseSector(u32 sector)
{
    if (sector >= flashchip->chip_size / flashchip->sector_size)
        return FAIL;
    change_flash(COMMAND_ERASE_SECTOR, sector * flashchip->sector_size & 0xFFFFFF);
    return OK;
}

u32 SPIEraseBlock(u32 block)
{
    if (block >= flashchip->chip_size / flashchip->block_size)
        return FAIL;
    change_flash(COMMAND_ERASE_BLOCK, block * flashchip->block_size & 0xFFFFFF);
    return OK;
}

u32 SPIEraseChip(void)
{
    change_flash(COMMAND_ERASE_CHIP, 0);
    return OK;
}

/* As the chip's own ROM does it, which esptool allows for: the sectors up to the end of the first block are erased without being
 * taken off the count. */
u32 SPIEraseArea(u32 at, u32 bytes)
{
    u32 per_block = flashchip->block_size / flashchip->sector_size;
    u32 sector = at / flashchip->sector_size, count = (bytes + flashchip->sector_size - 1) / flashchip->sector_size;
    u32 head = per_block - sector % per_block;

    if (is_out_of_bounds(at, bytes))
        return FAIL;
    if (head > count)
        head = count;
    for (; head > 0; head--)
        if (SPIEraseSector(sector++) != OK)
            return FAIL;
    while (count > 0) {
        u32 whole = count >= per_block && sector % per_block == 0;

        if ((whole ? SPIEraseBlock(sector / per_block) : SPIEraseSector(sector)) != OK)
            return FAIL;
        sector += whole ? per_block : 1;
        count -= whole ? per_block : 1;
    }
    return OK;
}

/* The pads of the flash chip belong to the SPI controller: function 1 in their IO_MUX registers. */
void SelectSpiFunction(void)
{
    for (u32 pad = 0x6000081C; pad <= 0x60000830; pad += 4)
        REG(pad) = (REG(pad) & ~0x130u) | 1 << 4;
}

void spi_flash_attach(void)
{
    SelectSpiFunction();
    SPI_USER |= 1 << 5;
}
