/* The dialogues of this folder, whole and byte by byte. */
#include "pop3/pop3.h"
#include "service/message/intake.h"
#include "tests/dialogue.h"

/* Files a mail for ana, as the SMTP door would. */
static void deliver(struct office *o, struct bytes mail, bool utf8)
{
    struct recipient_check_in ana = { .utf8_ok = true };
    struct recipient one = { .email = NO_BYTES };
    struct intake_in in = {
        .source = SOURCE_SMTP,
        .envelope_from = BYTES("bo@example.com"),
        .recipients = &one,
        .n_recipients = 1,
        .utf8 = utf8,
        .received = { .helo = BYTES("client.example.com"), .client_ip = BYTES("192.0.2.1"), .with = "ESMTP" }
    };
    struct intake_out out;
    struct intake *k = NULL;

    call_renew(&o->call);
    must(o, address_parse(BYTES("ana@example.org"), o->arena, &ana.address, &o->call.err), "address");
    must(o, recipient_check(&o->call, &ana, &one), "recipient");
    must(o, intake_begin(&o->call, &in, &k), "intake");
    must(o, intake_append(k, &o->call, mail), "append");
    must(o, intake_commit(&k, &o->call, &out), "commit");
}

static void deliver_all(struct office *o, const struct dialogue *d)
{
    struct bytes line, rest = buf_bytes(&d->mails);

    while (rest.n) {
        struct buf mail;

        (void)bytes_cut(rest, '\n', &line, &rest);
        buf_init(&mail, 1 << 20);
        unescape(bytes_from(line, 1), &mail);
        deliver(o, buf_bytes(&mail), line.p[0] == '8');
        buf_clear(&mail);
    }
}

static void run(struct office *o, const struct dialogue *d, size_t step, struct buf *out)
{
    struct pop3_door door = { .implicit_tls = false, .svc = o->svc };
    struct stream_options options = { .in_max = 16384, .out_max = 65536 };

    deliver_all(o, d);
    pop3_run(stream_memory(buf_bytes(&d->in), step, out, &options), &door);
}

static const char *preface(const struct dialogue *d, struct buf *in)
{
    if (d->bare)
        return "+OK Postrider *\n";
    buf_adds(in, "USER ana@example.org\r\nPASS correct horse\r\n");
    return "+OK Postrider *\n+OK *\n+OK *\n";
}

int main(void)
{
    return dialogues_main((struct dialogue_program){ "tests/pop3", run, preface });
}
