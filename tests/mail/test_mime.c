/* mail/mime.h: structure, view, decoders */
#include "tests/mail/plenty.h"
#include "tests/mail/shape.h"

#define CT "Content-Type: "

static void structures(void **state)
{
    static const struct {
        const char *message, *shape, *first; /* first: body of the first leaf */
    } rows[] = {
        { "Subject: x\r\n\r\nbody\r\n", "text/plain", "body\r\n" },
        { "", "text/plain", "" },
        { "\r\nbody", "text/plain", "body" },
        { "Subject: no body", "text/plain", "" },
        { CT "multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\n--b\r\n" CT
             "image/png\r\n\r\ntwo\r\n--b--\r\npost\r\n",
          "multipart/mixed(text/plain image/png)", "one" },
        { CT "multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n", "multipart/mixed(text/plain)", "one" }, /* bare LF */
        { CT "multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\none\r\n", "multipart/mixed(text/plain)",
          "one\r\n" }, /* not closed */
        { CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n--b--\r\n", "multipart/mixed(text/plain)", "" },
        { CT "multipart/mixed; boundary=b\r\n\r\n--b  \t\r\n\r\none\r\n--b-- \r\n", "multipart/mixed(text/plain)",
          "one" },
        { CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--bc\r\n--b--c\r\n--b--\r\n",
          "multipart/mixed(text/plain)", "one\r\n--bc\r\n--b--c" }, /* only whole boundaries count */
        { CT "multipart/mixed; boundary=a\r\n\r\n--a\r\n" CT
             "multipart/alternative; boundary=ab\r\n\r\n--ab\r\n\r\none\r\n--ab\r\n" CT
             "text/html\r\n\r\ntwo\r\n--ab--\r\n\r\n--a\r\n" CT "image/png\r\n\r\n\r\n--a--\r\n",
          "multipart/mixed(multipart/alternative(text/plain text/html) image/png)", "one" },
        { CT "multipart/mixed; boundary=a\r\n\r\n--a\r\n" CT
             "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--a\r\n\r\ntwo\r\n--a--\r\n",
          "multipart/mixed(multipart/mixed(text/plain) text/plain)", "one" }, /* the inner one was never closed */
        { CT "multipart/mixed; boundary=a\r\n\r\n--a\r\n" CT
             "multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\none\r\n--a--\r\n--a--\r\n",
          "multipart/mixed(multipart/mixed(text/plain))", "one" }, /* the same name inside */
        { CT "multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n",
          "multipart/digest(message/rfc822)", "Subject: x\r\n\r\ny" },
        { CT "multipart/mixed; boundary=b\r\n\r\n--b\r\nno header at all\r\n--b--\r\n", "multipart/mixed(text/plain)",
          "no header at all" },
        { CT "multipart/mixed\r\n\r\n--b\r\n\r\none\r\n", "text/plain", "--b\r\n\r\none\r\n" },
        { CT "nonsense\r\n\r\none\r\n", "text/plain", "one\r\n" },
        { "Subject: x\r\nThe door\r\nZone: 3\r\n", "text/plain", "The door\r\nZone: 3\r\n" }, /* no empty line */
        { "no header: at all is none\r\nTo: x\r\n\r\nx", "text/plain", "no header: at all is none\r\nTo: x\r\n\r\nx" },
        { "  indented\r\n\r\nx", "text/plain", "  indented\r\n\r\nx" },
        { " \r\nx", "text/plain", "x" },
        { "From x@y Mon Jan 1\r\nSubject: x\r\n\r\nx", "text/plain", "x" },
        { CT "multipart/mixed; boundary=b\r\n--b\r\n\r\none\r\n--b--", "multipart/mixed(text/plain)", "one" },
        { CT "multipart/mixed; boundary=b\r\n\r\n--b\r\nFrom here\r\n--b--", "multipart/mixed(text/plain)",
          "From here" },
        { CT "message/rfc822\r\n\r\n" CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n", "message/rfc822", NULL },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 0; step < 4; step++) {
            struct bytes message = bytes_of(rows[i].message);
            const struct mime_index *x = index_by(message, step, &roomy, *state);
            struct buf out;

            buf_init(&out, 4096);
            shape(x, &out);
            assert_bytes(buf_bytes(&out), bytes_of(rows[i].shape));
            assert_int_equal(x->size, message.n);
            for (size_t k = 0; rows[i].first && k < x->n; k++)
                if (!bytes_starts(x->parts[k].type, BYTES("multipart/"))) {
                    assert_bytes(body_of(x, k, message), bytes_of(rows[i].first));
                    break;
                }
            buf_clear(&out);
        }
}

static void what_a_part_says(void **state)
{
    struct bytes message =
        BYTES("Received: a\r\nReceived : b\r\nSubject: x\r\n folded\r\nReceived-SPF: no\r\n" CT
              "multipart/mixed; boundary=\"b c\"\r\n\r\n--b c\r\n" CT
              "TEXT/Plain; charset=\"ISO-8859-1\"; name=ignored.txt\r\nContent-Transfer-Encoding: "
              "Quoted-Printable\r\nContent-Disposition: "
              "attachment;\r\n filename*=utf-8''%C3%A4.txt\r\nContent-ID: <a@b>\r\n\r\nx\r\n--b c--\r\n");
    const struct mime_index *x = index_by(message, 7, &roomy, *state);
    const struct mime_part *p = &x->parts[1];

    assert_int_equal(x->n, 2);
    assert_int_equal(x->received, 2);
    assert_int_equal(x->header_fields, 5);
    assert_bytes(x->header, bytes_head(message, x->header.n));
    assert_true(bytes_ends(x->header, BYTES("\"b c\"\r\n")));
    assert_false(x->header_cut);
    assert_bytes(p->type, BYTES("text/plain"));
    assert_bytes(p->charset, BYTES("iso-8859-1"));
    assert_bytes(p->filename, BYTES("ä.txt"));
    assert_bytes(p->disposition, BYTES("attachment"));
    assert_bytes(p->content_id, BYTES("a@b"));
    assert_int_equal(p->encoding, MIME_QUOTED);
    assert_bytes(bytes_head(bytes_from(message, p->header_at), 12), BYTES("Content-Type"));
    assert_bytes(body_of(x, 1, message), BYTES("x"));
}

static void limits_leave_the_rest_whole(void **state)
{
    struct mime_limits tight = { .depth = 1, .parts = 3, .part_header = 40, .top_header = 60, .fields = plenty };
    struct bytes flat =
        BYTES(CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b\r\n\r\n3\r\n--b--\r\n");
    struct bytes deep = BYTES(CT "multipart/mixed; boundary=a\r\n\r\n--a\r\n" CT
                                 "multipart/x; boundary=b\r\n\r\n--b\r\n\r\n1\r\n--b--\r\n--a--\r\n");
    struct bytes wide =
        BYTES("A: 1\r\n" CT
              "multipart/mixed; boundary=a\r\nB: 1234567890123456789012345678901234567890\r\n\r\n--a\r\n\r\n--a--\r\n");
    const struct mime_index *x = index_by(flat, 0, &tight, *state);

    assert_int_equal(x->n, 3);
    assert_bytes(body_of(x, 2, flat), BYTES("2"));
    x = index_by(deep, 0, &tight, *state);
    assert_int_equal(x->n, 2);
    assert_bytes(body_of(x, 1, deep), BYTES("--b\r\n\r\n1\r\n--b--"));
    x = index_by(wide, 3, &tight, *state);
    assert_int_equal(x->header.n, 60);
    assert_true(x->header_cut);
    assert_int_equal(x->header_fields, 3);
    assert_int_equal(x->n, 2);
}

static void add_list(struct buf *out, const char *name, const int *list, size_t n)
{
    buf_addf(out, "%s%s", out->n ? " " : "", name);
    for (size_t i = 0; i < n; i++)
        buf_addf(out, " %d", list[i]);
}

static void views(void **state)
{
#define PART(type)         "--b\r\n" CT type "\r\n\r\nx\r\n"
#define MULTI(sub)         CT "multipart/" sub "; boundary=b\r\n\r\n"
#define INSIDE(sub, parts) "--b\r\n" CT "multipart/" sub "; boundary=c\r\n\r\n" parts "--c--\r\n"
#define LEAF(type)         "--c\r\n" CT type "\r\n\r\ny\r\n"
    static const struct {
        const char *message, *want;
    } rows[] = {
        { CT "text/plain\r\n\r\nx", "text 0 html files" },
        { CT "text/html\r\n\r\nx", "text html 0 files" },
        { CT "application/pdf\r\n\r\nx", "text html files 0" },
        { CT "text/plain\r\nContent-Disposition: attachment\r\n\r\nx", "text html files 0" },
        { CT "text/plain; name=a.txt\r\n\r\nx", "text 0 html files" },
        { MULTI("alternative") PART("text/plain") PART("text/html"), "text 1 html 2 files" },
        /* no form vanishes */
        { MULTI("alternative") PART("text/plain") PART("text/calendar") PART("text/html"), "text 1 html 3 files 2" },
        { MULTI("alternative") PART("text/plain") PART("text/html") PART("text/calendar"), "text 1 html 2 files 3" },
        { MULTI("alternative") PART("text/calendar"), "text html files 1" },
        { MULTI("alternative") PART("image/png") PART("application/json"), "text html files 1 2" },
        { MULTI("alternative") PART("text/html") PART("text/html"), "text html 2 files 1" },
        { MULTI("alternative") PART("text/plain") PART("text/plain"), "text 2 html files 1" },
        { MULTI("alternative") PART("text/html; name=a") PART("text/html; name=b"), "text html 1 files 2" },
        { MULTI("alternative") PART("text/plain") INSIDE("related", LEAF("text/html") LEAF("image/png"))
              PART("text/calendar"),
          "text 1 html 3 files 4 5" },
        { MULTI("alternative") PART("text/plain")
              INSIDE("mixed", LEAF("text/html") LEAF("application/pdf") LEAF("text/html")),
          "text 1 html 3 5 files 4" },
        { MULTI("alternative") PART("text/plain") INSIDE("mixed", LEAF("text/html") LEAF("text/plain")),
          "text 1 html 3 files 4" },
        { MULTI("alternative") INSIDE("mixed", LEAF("text/plain") LEAF("text/html")), "text 2 html 3 files" },
        { MULTI("alternative") INSIDE("alternative", LEAF("text/plain") LEAF("text/html")) PART("text/html"),
          "text 2 html 4 files 3" },
        /* what stands side by side is all body */
        { MULTI("mixed") PART("text/plain") PART("text/html"), "text 1 html 2 files" },
        { MULTI("mixed") PART("text/plain") PART("image/png") PART("text/plain"), "text 1 3 html files 2" },
        { MULTI("mixed") INSIDE("alternative", LEAF("text/plain") LEAF("text/html")) PART("text/plain"),
          "text 2 4 html 3 files" },
        { MULTI("mixed") PART("text/html") PART("image/png") PART("message/rfc822"), "text html 1 files 2 3" },
        { MULTI("mixed") PART("image/png") PART("text/plain; name=a.txt") PART("text/plain"), "text 3 html files 1 2" },
        { MULTI("report") PART("text/plain") PART("message/delivery-status") PART("message/rfc822"),
          "text 1 html files 2 3" },
        /* the root of a related, wherever it stands */
        { MULTI("related") PART("text/html") PART("text/plain") PART("image/png"), "text html 1 files 2 3" },
        { MULTI("related") PART("image/png") PART("text/html") PART("text/html"), "text html 2 files 1 3" },
        { MULTI("related") INSIDE("alternative", LEAF("text/plain") LEAF("text/html")) PART("text/html"),
          "text 2 html 3 files 4" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct mime_view v;
        struct buf out;

        buf_init(&out, 4096);
        mime_view(index_by(bytes_of(rows[i].message), 0, &roomy, *state), *state, &v);
        add_list(&out, "text", v.text, v.n_text);
        add_list(&out, "html", v.html, v.n_html);
        add_list(&out, "files", v.attachments, v.n_attachments);
        assert_bytes(buf_bytes(&out), bytes_of(rows[i].want));
        buf_clear(&out);
    }
}

static void decoders(void **state)
{
    static const struct {
        enum mime_encoding encoding;
        const char *in, *out;
    } rows[] = {
        { MIME_BASE64, "aGVsbG8=", "hello" },
        { MIME_BASE64, "aGVs\r\nbG8", "hello" },
        { MIME_BASE64, "aGVsbA", "hell" },
        { MIME_BASE64, "aG!V*s b\tG8=\r\n", "hello" },
        { MIME_BASE64, "aGVsbA==bG8=", "hell" }, /* it ends at its padding */
        { MIME_BASE64, "aGVsbG8=\r\n--\r\nlist footer\r\n", "hello" },
        { MIME_BASE64, "====", "" },
        { MIME_QUOTED, "a=3Db=\r\nc", "a=bc" },
        { MIME_QUOTED, "a  \t\r\nb", "a\r\nb" },
        { MIME_QUOTED, "a =\r\nb", "a b" },
        { MIME_QUOTED, "a=  \r\nb", "ab" },
        { MIME_QUOTED, "a=zzb=4", "a=zzb=4" },
        { MIME_QUOTED, "a=e4=\nb",
          "a\xe4"
          "b" },
        { MIME_IDENTITY, "a=3D", "a=3D" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step < 9; step++) {
            struct mime_decoder d;
            struct bytes in = bytes_of(rows[i].in);
            struct buf out;

            buf_init(&out, 4096);
            mime_decode_begin(&d, rows[i].encoding);
            for (; in.n; in = bytes_from(in, step))
                mime_decode(&d, bytes_head(in, step), &out);
            mime_decode_end(&d, &out);
            assert_bytes(buf_bytes(&out), bytes_of(rows[i].out));
            buf_clear(&out);
        }
}

#define BAD "\xEF\xBF\xBD"

static void charsets(void **state)
{
    static const struct {
        const char *charset, *in, *out;
    } rows[] = {
        { NULL, "a\r\nb\rc\nd", "a\nb\nc\nd" },
        { NULL,
          "Stra\xC3\x9F"
          "e",
          "Straße" },
        { NULL,
          "Stra\xDF"
          "e \x80 \x81",
          "Straße € \xC2\x81" }, /* no UTF-8, so it is windows-1252 */
        { "us-ascii", "\xE9t\xE9", "été" },
        { "", "\xE9t\xE9", "été" },
        { "klingon//TRANSLIT", "a\xE4", "aä" },
        { "utf-8", "\xC3\xA4\xFF\xED\xA0\x80", "ä" BAD BAD BAD BAD },
        { "utf-8", "\xE2\x82 \xF0\x9F\x98.\xE2\x82", BAD " " BAD "." BAD }, /* one for each broken character */
        { "utf8",
          "\xEF\xBB\xBF"
          "a",
          "a" },
        { "windows-1251",
          "\xEF\xBB\xBF"
          "ä",
          "ä" },                              /* the mark knows better */
        { "windows-1251", "\xFF\xFE", "яю" }, /* here it is none */
        { NULL,
          "\xFF\xFE"
          "a",
          BAD },
        { "utf-16", "\xFE\xFF\x01\x42", "ł" },
        { "utf-16le", "\x42\x01", "ł" },
        { "utf-16be", "", "" },
        { "ISO-8859-15", "\xA4", "€" },
        { "iso-8859-1", "\xE4\x93", "ä“" },
        { "ISO 8859-2", "\xB1", "ą" },
        { "cp1251", "\xCF\xF0", "Пр" },
        { "windows-1251", "\xCF\x98\xF0", "П\xC2\x98р" },
        { "koi8", "\xF0\xD2", "Пр" },
        { "macintosh", "\x8A", "ä" },
        { "shift_jis", "\x83\x6E\x87\x40\xFB\xFC", "ハ①髙" }, /* Microsoft's */
        { "shift_jis", "\x81\x3F\x81\xFF<", BAD "?" BAD "<" },
        { "euc-jp", "\xA4\xCF\xFF!", "は" BAD "!" },
        { "euc-jp", "\xAD\xA1\xA1\xC1\xA9\xFE<\xA4<b>", "①～" BAD "<" BAD "<b>" },
        { "gb2312", "\xC4\xE3\x81<\xA2\xE3", "你" BAD "<€" },
        { "ks_c_5601-1987", "\xC7\xD1\x8C\x63\xC9<", "한똠" BAD "<" },
        { "big5", "\xA4\xA4\xF9\xD6\xA4<", "中碁" BAD "<" },
        { "iso-2022-jp", "\x1B$B$O\x1B(B!", "は!" },
        { "iso-2022-jp", "\x1B$B-!2q5D\x1B(B end", "①会議 end" },
        { "iso-2022-jp", "\x1B$B)~2q\x1B(B.", BAD "会." }, /* a wrong pair goes as one */
        { "csISO2022JP", "\x1B(I1\x1B(J\\\x1B(B\\", "ｱ¥\\" },
        { "iso-2022-jp", "\x1B$B2q\r\nplain", "会\nplain" }, /* a line begins in ASCII */
        { "iso-2022-jp", "\x1B$B2q5\x1B(B.\x1B\xE4", "会" BAD "." BAD BAD },
        { "UTF-7", "+AOQ-", "ä" },
    };
    struct mime_part part = { .type = BYTES("text/plain") };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int again = 0; again < 2; again++) { /* a converter that is used again starts anew */
            struct buf out;

            buf_init(&out, 4096);
            part.charset = bytes_of(rows[i].charset);
            assert_true(mime_text(&part, bytes_of(rows[i].in), false, &out));
            assert_bytes(buf_bytes(&out), bytes_of(rows[i].out));
            buf_clear(&out);
        }
}

static void html_names_its_charset(void **state)
{
    static const struct {
        const char *charset, *in, *out; /* out: what \xCF becomes */
    } rows[] = {
        { NULL, "<meta charset=windows-1251>\xCF", "П" },
        { NULL, "<META CharSet = 'koi8-r' >\xCF", "о" },
        { NULL, "<html><meta http-equiv=\"Content-Type\" content='text/html; charset=windows-1251'>\xCF", "П" },
        { NULL, "<meta content=\"text/html;charset = &quot;\" http-equiv=content-type>\xCF", "Ï" },
        { NULL, "<meta name=x content='charset=windows-1251'>\xCF", "Ï" },
        { NULL, "<!-- <meta charset=koi8-r> --><meta charset=windows-1251>\xCF", "П" },
        { NULL, "<p title='<meta charset=koi8-r>'><meta charset=klingon><meta charset=\"windows-1251\"/>\xCF", "П" },
        { NULL, "<metal charset=windows-1251>\xCF", "Ï" },
        { NULL, "<meta charset=utf-16>\xCF", BAD },
        { "us-ascii", "<meta charset=windows-1251>\xCF", "П" },
        { "iso-8859-1", "<meta charset=windows-1251>\xCF", "Ï" }, /* the mail says it */
        { NULL, "<meta charset=windows-1251", "" },
        { NULL, "<!--", "" },
        { NULL, "<", "" },
    };
    struct mime_part part = { .type = BYTES("text/html") };
    struct buf late, out;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_init(&out, 4096);
        part.charset = bytes_of(rows[i].charset);
        mime_text(&part, bytes_of(rows[i].in), false, &out);
        assert_true(bytes_ends(buf_bytes(&out), bytes_of(rows[i].out)));
        buf_clear(&out);
    }
    buf_init(&late, 4096);
    buf_init(&out, 4096);
    for (size_t i = 0; i < 1024; i++)
        buf_addc(&late, ' ');
    buf_adds(&late, "<meta charset=windows-1251>\xCF");
    part.charset = NO_BYTES;
    mime_text(&part, buf_bytes(&late), false, &out);
    assert_true(bytes_ends(buf_bytes(&out), BYTES("Ï")));
    buf_clear(&late);
    buf_clear(&out);
}

/* Neither half a character at the end of what was cut, nor one that the limit cuts. */
static void cut_text_ends_whole(void **state)
{
    struct mime_part part = { .type = BYTES("text/plain") };
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_true(mime_text(&part, BYTES("\xC3\xA4\xE2\x82"), true, &out));
    assert_bytes(buf_bytes(&out), BYTES("ä"));
    buf_clear(&out);
    buf_init(&out, 4);
    assert_false(mime_text(&part, BYTES("a\xE2\x82\xAC\xE2\x82\xAC"), false, &out));
    assert_bytes(buf_bytes(&out), BYTES("a€"));
    buf_clear(&out);
}

static void file_names(void **state)
{
    static const struct {
        const char *disposition, *want;
    } rows[] = {
        { "filename=\"../../etc/passwd\"", "passwd" },
        { "filename=\"C:\\temp\\report.pdf\"", "report.pdf" },
        { "filename=\"C:\\\\temp\\\\report.pdf\"", "report.pdf" },
        { "filename=\"dir/\"", "dir" },
        { "filename=\"..\"", NULL },
        { "filename=\"/\"", NULL },
        { "filename=\" \x01 \"", NULL },
        { "filename=\"a\tb\x7F"
          "c.txt\"",
          "abc.txt" },
        { "filename*=utf-8''a%0D%0Ab%00c%C2%85.txt", "abc.txt" },
        { "filename*=utf-8''photo%E2%80%AEgpj.exe", "photogpj.exe" },
        { "filename=\"=?utf-8?q?a=2Fb=0D=0A.txt?=\"", "b.txt" },
        { "filename=\"quo\\\"te.txt\"", "quo\"te.txt" },
        { "filename=\"\"", NULL },
        { "filename=caf\xE9.txt", "café.txt" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bytes message = arena_bytesf(*state, "Content-Disposition: attachment; %s\r\n\r\n", rows[i].disposition);
        const struct mime_index *x = index_by(message, 0, &roomy, *state);

        assert_bytes(x->parts[0].filename, bytes_of(rows[i].want));
    }
}

/* Whatever a header holds, what is kept of it is bounded; a file name keeps its ending. */
static void a_part_keeps_little(void **state)
{
    struct mime_limits limits = roomy;
    const struct mime_index *x = NULL;
    struct arena *a = arena_new(64 << 20);
    struct buf message;
    size_t used = 0;

    (void)state;
    buf_init(&message, 1 << 20);
    for (int i = 0; i < 4; i++) {
        static const char *const starts[] = { CT "text/", CT "text/plain; charset=", CT "x/y; name=", "Content-ID: <" };

        buf_reset(&message);
        buf_adds(&message, starts[i]);
        for (int k = 0; k < 50000; k++)
            buf_addc(&message, i == 1 ? '\xFF' : 'x');
        buf_adds(&message, i == 2 ? ".docx\r\n\r\n" : "\r\n\r\n");
        arena_reset(a);
        x = index_by(buf_bytes(&message), 0, &limits, a);
        used = arena_used(a) - x->header.n;
        assert_true(x->parts[0].type.n + x->parts[0].charset.n + x->parts[0].filename.n + x->parts[0].content_id.n <
                    700);
        assert_true(i != 2 || bytes_ends(x->parts[0].filename, BYTES("x.docx")));
        assert_true(used < 200000); /* the header as it grew */
    }
    buf_clear(&message);
    arena_free(&a);
}

/* Raw text in a header has no charset of its own: it is UTF-8, or the body's. */
static void raw_headers_follow_the_body(void **state)
{
    static const struct {
        const char *message, *subject;
    } rows[] = {
        { "Subject: \xF0\xD2\r\n" CT "text/plain; charset=koi8-r\r\n\r\nx", "Пр" },
        { "Subject: \xD0\x9F\r\n" CT "text/plain; charset=koi8-r\r\n\r\nx", "П" },
        { "Subject: \xE9\r\n" CT "text/plain; charset=utf-8\r\n\r\nx", "é" },
        { "Subject: \xE9\r\n\r\nx", "é" },
        { "Subject: \x1B$B2q\x1B(B\r\n" CT "text/plain; charset=iso-2022-jp\r\n\r\nx", "会" },
        { "Subject: \xF0 =?utf-8?q?=C3=A4?=\r\n" CT "multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n" CT
          "text/plain; charset=koi8-r\r\n\r\nx\r\n--b--",
          "П ä" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct mime_index *x = index_by(bytes_of(rows[i].message), 0, &roomy, *state);
        struct header h;

        assert_true(header_find(x->header, "Subject", 0, &h));
        assert_bytes(header_decode(h.value, plenty, *state), bytes_of(rows[i].subject));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(structures),
        ARENA_TEST(what_a_part_says),
        ARENA_TEST(limits_leave_the_rest_whole),
        ARENA_TEST(views),
        ARENA_TEST(decoders),
        ARENA_TEST(charsets),
        ARENA_TEST(html_names_its_charset),
        ARENA_TEST(cut_text_ends_whole),
        ARENA_TEST(file_names),
        ARENA_TEST(a_part_keeps_little),
        ARENA_TEST(raw_headers_follow_the_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
