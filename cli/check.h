/* cli/check.h - inside `postrider check`: what its parts share. */
#ifndef CLI_CHECK_H
#define CLI_CHECK_H
#include "cli/boot.h"

enum verdict { PASS, WARN, FAIL };

struct checkup {
    const struct command_line *line;
    struct boot boot;
    struct arena *arena;
    const char *data;
    struct json_object *results;
    bool net;     /* its threads run */
    bool running; /* a server answers */
    int worst;
};

/* Notes one result; `mend` says what to do and is shown unless it is PASS. */
void check_say(struct checkup *c, enum verdict v, const char *name, const char *found, const char *mend);
/* A parameter as text: what the running server says, else what boot file and environment say. NO_BYTES: unknown. */
struct bytes check_setting(struct checkup *c, const char *name);

/* cli/check_out.c, once the resolver runs: */
void check_resolver(struct checkup *c); /* a signed name comes out validated, an unsigned one at all */
void check_name(struct checkup *c);     /* server.hostname has addresses, and these have its name */
void check_port_25(struct checkup *c);  /* --to */

void check_doors(struct checkup *c);        /* with a server: they answer; without: their ports are free */
void check_certificates(struct checkup *c); /* readable, key and certificate match, not expired, for our name */
#endif
