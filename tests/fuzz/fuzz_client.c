/* The dialogue with another server that says anything: whatever it says, we say commands of ours alone, the text only
 * between DATA and its dot, and nobody is told that mail was taken unless a 2xx came behind a dot. The first byte says
 * how it is heard (bit 1: byte by byte), how many recipients there are, and whether a second message follows. */
#include "base/params.h"
#include "delivery/client.h"
#include "tests/delivery/pieces.h"
#include <assert.h>

#define ARENA     ((size_t)4 << 20)
#define TEXT      "Subject: x\r\n\r\n..walrus\r\n"
#define MESSAGES  2
#define RECIPIENT 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct offer_rcpt to[RECIPIENT] = { { .email = { "a@far.test", 10 } },
                                                 { .email = { "b@far.test", 10 } },
                                                 { .email = { "c@far.test", 10 } } };

static bool is_command(struct bytes line)
{
    static const char *const verbs[] = { "EHLO us.test", "HELO us.test", "MAIL FROM:<bo@us.test>", "RCPT TO:<", "DATA",
                                         "RSET",         "QUIT" };

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (bytes_starts(line, bytes_of(verbs[i])))
            return true;
    return false;
}

/* Dots that ended a text. What stands behind DATA is a text as a whole, or a part of it at the end. */
static size_t read_said(struct bytes said)
{
    struct bytes text = BYTES(TEXT ".\r\n");
    size_t dots = 0;

    while (said.n) {
        size_t n = bytes_find(said, '\n') + 1;

        if (bytes_starts(said, text)) {
            dots++;
            n = text.n;
        } else if (n > said.n || !is_command(said)) {
            assert(bytes_starts(text, bytes_head(said, text.n)) && said.n <= text.n);
            n = said.n;
        }
        said = bytes_from(said, n);
    }
    return dots;
}

static size_t count_taken(const struct answer *each, size_t n)
{
    size_t taken = 0;

    for (size_t i = 0; i < n; i++) {
        bool is = each[i].what == ANSWER_REPLY && each[i].reply.code / 100 == 2;

        assert(each[i].at < STEPS && each[i].what <= ANSWER_WAITS);
        assert(!is || each[i].at == STEP_DOT);
        taken += is;
    }
    return taken;
}

static size_t send_one(struct client *c, size_t n)
{
    struct needs needs = { .size = (int64_t)strlen(TEXT) };
    struct terms terms = { .last = true };
    struct pieces text = { .text = BYTES(TEXT), .size = 7 };
    struct answer each[RECIPIENT];
    struct manner how;
    struct envelope e = {
        .sender = BYTES("bo@us.test"), .needs = &needs, .how = &how, .to = to, .n = n, .content = { next_piece, &text }
    };

    if (offer_negotiate(client_offer(c), &needs, &terms, &how) != OFFER_OK)
        return 0;
    memset(each, 0, sizeof each);
    assert(client_send(c, &e, each) == (count_taken(each, n) > 0));
    return count_taken(each, n) > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *a;
    struct stream_options options = { .in_max = 65536, .out_max = 65536 };
    uint8_t first = size ? data[0] : 0;
    struct bytes in = { size > 1 ? (const char *)data + 1 : "", size > 1 ? size - 1 : 0 };
    size_t taken = 0, recipients = 1 + (first >> 1) % RECIPIENT;
    struct stream *s;
    struct client *c;
    struct answer x;
    struct buf out;

    if (!a) {
        params_init();
        a = arena_new(ARENA);
    }
    arena_reset(a);
    buf_init(&out, 1 << 20);
    s = stream_memory(in, first & 1, &out, &options);
    c = client_new(&s, BYTES("us.test"), a);
    if (client_greet(c, false, &x))
        for (int i = 0; i < MESSAGES && client_is_usable(c); i++)
            taken += send_one(c, recipients);
    client_quit(&c, true);
    assert(read_said(buf_bytes(&out)) >= taken);
    buf_clear(&out);
    return 0;
}
