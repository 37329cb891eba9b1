/* cli/client.h - one HTTP request to a server: over the unix socket in its data folder (root and the owner need no
 * key), or to a URL with a key. Where to: --url/--key, then POSTRIDER_URL/POSTRIDER_KEY, then the profile, then the
 * socket. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H
#include "cli/command.h"
#include <stdio.h>

struct client_answer {
    long status;              /* 0: no answer */
    struct buf body;          /* raw */
    struct json_object *json; /* parsed when the answer is JSON, else NULL */
    char error[1024];         /* why there is no answer */
    bool timed_out;
    bool unsent; /* something on this side is wrong: nothing was sent */
};

struct client_request {
    const char *method, *path;   /* "/v1/domains?limit=3" */
    struct bytes body;           /* NO_BYTES: none */
    const char *content_type;    /* NULL: application/json */
    const char *accept;          /* NULL: anything */
    const char *idempotency_key; /* NULL: none */
    FILE *from;                  /* instead of `body`: sent as it is read */
    FILE *to;                    /* NULL: into the answer; else a 2xx answer's body is written there as it comes */
};

void client_call(const struct command_line *l, const struct client_request *r, struct client_answer *out);
void client_answer_clear(struct client_answer *a);
/* The exit code of an answer; prints its problem (each field's fault on a line) when it is one. */
int client_result(const struct command_line *l, const struct client_answer *a);
/* Appends a path or query part, percent-encoded. */
void client_escape(struct buf *out, const char *text);
/* The data folder that flags and environment name. */
const char *client_data_dir(const struct command_line *l);
#endif
