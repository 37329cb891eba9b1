/* postrider: `serve` is the server; every other subcommand is a client of its API. */
#include "cli/command.h"
#include "cli/verbs.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    { "serve", serve_main, "run the server" },
    { "check", check_main, "test the vital parts, and say how to mend what fails" },
    { "send", send_main, "send a mail" },
    { "sendmail", sendmail_main, "send a mail as sendmail(8) does: -t -i -f" },
    { "domain", resource_main, "domains" },
    { "user", resource_main, "users and their addresses" },
    { "route", resource_main, "by which way mail leaves" },
    { "template", template_main, "mails that are written once; template samples: some to begin with" },
    { "stream", resource_main, "kinds of mail that an account sends" },
    { "layout", resource_main, "what stands around templates" },
    { "partial", resource_main, "what templates share" },
    { "key", resource_main, "API keys" },
    { "message", resource_main, "what was sent" },
    { "batch", batch_main, "many mails at once; batch send --csv FILE: a mail for each row" },
    { "delivery", resource_main, "its recipients: where each stands; retry, hold, release, bounce" },
    { "queue", resource_main, "what waits to leave: list, retry, hold, release, bounce, suspend, resume" },
    { "suspension", resource_main, "what is kept from leaving" },
    { "mailbox", resource_main, "mailboxes and what is in them" },
    { "suppression", resource_main, "addresses that get no mail" },
    { "config", resource_main, "parameters" },
    { "mail", mail_main, "mail VERB: what mail is made of, without a server; mail --help" },
    { "store", store_main, "store copy FROM TO: everything into another store" },
    { "sync", sync_main, "count again what is kept counted, and put it right" },
};

static int help_exit_codes(void)
{
    puts("0  done\n1  failed: the answer says why\n2  wrong usage\n3  no answer in time\n"
         "4  not allowed: no key, a wrong one, or one without the scope\n5  no server there, or it is not ready: try "
         "again\n"
         "6  done in part");
    return EXIT_FINE;
}

static void print_flags(const char *title, const struct flag *flags)
{
    puts(title);
    for (; flags->name; flags++)
        printf("  --%-20s %s\n", flags->name, flags->help);
}

static int help(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "exit-codes") == 0)
        return help_exit_codes();
    if (argc > 0 && strcmp(argv[0], "serve") == 0) {
        print_flags("postrider serve", serve_flags);
        return EXIT_FINE;
    }
    if (argc > 0 && strcmp(argv[0], "check") == 0) {
        print_flags("postrider check, beside the flags of every command", check_flags);
        return EXIT_FINE;
    }
    if (argc > 0 && strcmp(argv[0], "batch") == 0)
        print_flags("postrider batch send, beside the flags of every command", batch_send_flags);
    if (argc > 0 && strcmp(argv[0], "mail") == 0)
        return mail_help();
    if (argc > 0 && (strcmp(argv[0], "store") == 0 || strcmp(argv[0], "sync") == 0)) {
        (argv[0][1] == 't' ? store_help : sync_help)();
        return EXIT_FINE;
    }
    if (argc > 0) {
        resource_help(argv[0]);
        return EXIT_FINE;
    }
    puts("usage: postrider COMMAND …\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        printf("  %-11s %s\n", commands[i].name, commands[i].help);
    puts("\n  help [COMMAND | exit-codes], version\n");
    print_flags("flags of every command but serve", client_flags);
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *program = slash ? slash + 1 : argv[0];

    if (strcmp(program, "sendmail") == 0)
        return sendmail_main(argc, argv);
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(argc > 2 ? argc - 2 : 0, argv + 2) + (argc < 2 ? EXIT_USAGE : 0);
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)
        return puts("postrider " POSTRIDER_VERSION) < 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "postrider: no command \"%s\"; see `postrider help`\n", argv[1]);
    return EXIT_USAGE;
}
