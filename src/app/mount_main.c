/* imapfs: mounts an IMAP account. See app/mount.h for what it is made of. */
#include <errno.h>
#include <gmime/gmime.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "app/background.h"
#include "app/cred.h"
#include "app/mount.h"
#include "app/places.h"
#include "app/settings.h"
#include "app/version.h"
#include "model/mailbox_name.h"

enum { EXIT_USAGE = 2 };

#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Nobody else reads our memory or makes our files theirs; signals go to the one thread that waits
 * for them. */
static void protect_process(void)
{
    const struct rlimit none = {0, 0};
    (void)umask(077);
    (void)setrlimit(RLIMIT_CORE, &none);
#if !SANITIZED /* their leak check reads the memory of its own process */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    (void)signal(SIGPIPE, SIG_IGN);
}

static int complain(const struct err *why)
{
    (void)fprintf(stderr, "imapfs: %s\n", why->text);
    return EXIT_FAILURE;
}

/* From here on a failure must also reach the parent that waits. */
static int mount_and_serve(const struct settings *settings, const struct places *places,
    struct cred *cred, struct background *background)
{
    struct err why = ERR_INIT;
    struct log *log = log_create(settings->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, false);
    const struct mount_options options = {settings, places, cred, log};
    struct mount *mount = NULL;
    int status = EXIT_SUCCESS;
    if (mount_create(&mount, &options, &why) < 0) {
        status = complain(&why);
        background_failed(background, status);
    } else {
        if (!settings->foreground) {
            log_use_syslog(log);
        }
        background_ready(background);
        int result = mount_serve(mount);
        if (result < 0) {
            log_line(log, LOG_LEVEL_ERROR, "the connection to the kernel failed: %s",
                strerrordesc_np(-result));
            status = EXIT_FAILURE;
        }
    }
    mount_destroy(&mount);
    log_destroy(&log);
    return status;
}

static int no_mailbox_names(struct background *background)
{
    (void)fputs("imapfs: the C library cannot convert UTF-7-IMAP; install the package libc6 whole "
                "(its gconv modules)\n",
        stderr);
    background_failed(background, EXIT_FAILURE);
    return EXIT_FAILURE;
}

static int run(const struct settings *settings)
{
    struct err why = ERR_INIT;
    struct places places = {0};
    struct cred *cred = NULL;
    struct background background = {-1};
    if (places_find(&places, settings, &why) < 0) {
        return complain(&why);
    }
    int status = EXIT_FAILURE;
    /* The password's memory is wiped in children: the process that serves asks for it. */
    if (!settings->foreground && background_start(&background, &why) < 0) {
        (void)complain(&why);
    } else if (cred_create(&cred, settings, &why) < 0 || cred_prompt(cred, &why) < 0) {
        (void)complain(&why);
        background_failed(&background, status);
    } else {
        g_mime_init();
        status = !mailbox_name_works() ? no_mailbox_names(&background)
                                       : mount_and_serve(settings, &places, cred, &background);
        g_mime_shutdown();
    }
    cred_destroy(&cred);
    places_finish(&places);
    return status;
}

int main(int argc, char **argv)
{
    struct err why = ERR_INIT;
    struct settings settings = {0};
    protect_process();
    if (settings_read(&settings, argc, argv, NULL, &why) < 0) {
        (void)complain(&why);
        return EXIT_USAGE;
    }
    int status = EXIT_SUCCESS;
    if (settings.show_help) {
        settings_print_help("imapfs");
    } else if (settings.show_version) {
        printf("imapfs %s\n", IMAPFS_VERSION);
    } else {
        status = run(&settings);
    }
    settings_finish(&settings);
    return status;
}
