/* cli/boot.h - what a server is started with: boot file, environment, flags, in rising order. The boot file
 * (postrider.json in the data folder, or --config) is JSON: {"store": "sqlite:…", "parameters": {"smtp.listen": "…"}};
 * comments are not allowed. */
#ifndef CLI_BOOT_H
#define CLI_BOOT_H
#include "base/params.h"
#include "cli/command.h"

struct boot {
    char data[400], store[2048], ready_file[512], config[512], admin_key_file[512];
    bool ephemeral;
    bool accept_loss;
    bool named[PARAMS]; /* by the boot file */
};

/* ERR_INVALID names the file, variable or flag. */
bool boot_read(const struct command_line *l, struct boot *out, struct err *e);
/* The boot file alone, again (SIGHUP): parameters that may change while running are taken over, the others wait for the
 * next start. On failure what stands before the fault has been taken over. */
bool boot_reload(const struct boot *b, struct err *e);
#endif
