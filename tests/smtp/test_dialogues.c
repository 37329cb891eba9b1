/* The dialogues of this folder, at their doors, whole and byte by byte. */
#include "smtp/smtp.h"
#include "tests/dialogue.h"

static enum smtp_kind kind_of(struct bytes door)
{
    if (bytes_equal(door, BYTES("submission")))
        return SMTP_SUBMISSION;
    return bytes_equal(door, BYTES("submissions")) ? SMTP_SUBMISSIONS : SMTP_RECEIVE;
}

static void run(struct office *o, const struct dialogue *d, size_t step, struct buf *out)
{
    struct smtp_door door = { .kind = kind_of(d->door), .svc = o->svc };
    struct stream_options options = { .in_max = 65536, .out_max = 65536 };

    smtp_run(stream_memory(buf_bytes(&d->in), step, out, &options), &door);
}

static const char *preface(const struct dialogue *d, struct buf *in)
{
    static char want[512];
    bool login = kind_of(d->door) != SMTP_RECEIVE;

    if (d->bare)
        return "220 localhost *\n";
    buf_adds(in, "EHLO client.example.com\r\n");
    snprintf(want, sizeof want,
             "220 localhost *\n250-localhost *\n250-SIZE *\n250-8BITMIME\n250-SMTPUTF8\n250-PIPELINING\n250-CHUNKING\n"
             "250-DSN\n250-ENHANCEDSTATUSCODES\n250-LIMITS RCPTMAX=*\n%s250 HELP\n",
             login ? "250-AUTH PLAIN LOGIN\n" : "");
    return want;
}

int main(void)
{
    return dialogues_main((struct dialogue_program){ "tests/smtp", run, preface });
}
