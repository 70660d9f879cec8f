// What each command does. All answer the exit code.
#pragma once

#include "cli/invocation.h"

namespace farshore::cli {

int run_status(const Invocation& call);
int run_check(const Invocation& call);
int run_grants(const Invocation& call);
int run_events(const Invocation& call);
int run_stream_verb(const Invocation& call);  // the verb is the last word of the command

int run_agent(const Invocation& call);
int run_init(const Invocation& call);
int run_cert_show(const Invocation& call);
int run_cert_renew(const Invocation& call);
int run_journal_inspect(const Invocation& call);
int run_version(const Invocation& call);
int run_completion(const Invocation& call);
int run_man(const Invocation& call);
int run_complete(const Invocation& call);  // hidden: the words that a completion script offers

}  // namespace farshore::cli
