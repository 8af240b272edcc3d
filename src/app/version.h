/* app/version.h - what --version says. */
#ifndef IMAPFS_APP_VERSION_H
#define IMAPFS_APP_VERSION_H

#define IMAPFS_VERSION "0.1"

#endif
