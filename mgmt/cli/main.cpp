// penstock: the command line.
#include <iostream>

#include "mgmt/cli/app.h"

int main(int argc, char** argv) {
  namespace cli = penstock::cli;
  cli::Invocation invocation;
  const auto app = cli::make_app(invocation);
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app->exit(success);
  } catch (const CLI::ParseError& error) {
    app->exit(error);
    return cli::kExitUsage;
  }
  return invocation.run ? invocation.run() : cli::kExitUsage;
}
