#include "mgmt/kernel/fallback.h"

#include <net/if.h>
#include <nftables/libnftables.h>

#include <algorithm>
#include <set>

#include "mgmt/kernel/address_owner.h"
#include "mgmt/kernel/fallback_rules.h"
#include "mgmt/kernel/links.h"
#include "mgmt/kernel/sysctl.h"

namespace penstock::kernel {
namespace {

struct ContextFree {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// One transaction: all of it or nothing.
Status run_nft(const std::string& commands) {
  const std::unique_ptr<nft_ctx, ContextFree> context{nft_ctx_new(NFT_CTX_DEFAULT)};
  if (!context) return Problem{"nftables", "cannot create a context", "libnftables could not allocate"};
  nft_ctx_buffer_error(context.get());
  nft_ctx_buffer_output(context.get());
  if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) == 0) return Done{};
  return Problem{"nftables",
                 std::string{"the kernel refused the fallback table: "} + nft_ctx_get_error_buffer(context.get()),
                 "needs CAP_NET_ADMIN and nf_tables with nat, masquerade, numgen and conntrack support"};
}

// Service addresses that are not the node's own by an interface.
Result<std::vector<IpAddress>> foreign_addresses(const FallbackState& wanted) {
  auto present = list_addresses();
  if (!present) return present.error();
  std::set<IpAddress> own;
  for (const LinkAddress& each : *present) own.insert(each.prefix.address);
  std::set<IpAddress> out;
  for (const FallbackService& service : wanted.services)
    if (!own.contains(service.address)) out.insert(service.address);
  return std::vector<IpAddress>{out.begin(), out.end()};
}

}  // namespace

struct Fallback::Impl {
  FallbackOptions options;
  SysctlKeeper settings;

  Status apply_settings(const FallbackState& wanted, bool v6) {
    if (options.reserve_ports)
      if (auto done = settings.reserve_ports(wanted.source_port_low, wanted.source_port_high); !done) return done;
    if (options.enable_forwarding && !wanted.services.empty()) {
      if (auto done = settings.set("net/ipv4/ip_forward", "1"); !done) return done;
      if (v6)
        if (auto done = settings.set("net/ipv6/conf/all/forwarding", "1"); !done) return done;
    }
    if (!v6) return Done{};
    for (const std::string& name : wanted.interfaces) {
      if (::if_nametoindex(name.c_str()) == 0) continue;
      if (auto done = settings.set("net/ipv6/conf/" + name + "/proxy_ndp", "1"); !done) return done;
      // Otherwise answers wait up to 0.8 s, so that a real owner may answer first; there is none.
      if (auto done = settings.set("net/ipv6/neigh/" + name + "/proxy_delay", "0"); !done) return done;
    }
    return Done{};
  }
};

Fallback::Fallback(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Fallback::Fallback(Fallback&&) noexcept = default;
Fallback& Fallback::operator=(Fallback&&) noexcept = default;
Fallback::~Fallback() = default;

Result<Fallback> Fallback::open(const FallbackOptions& options) {
  return Fallback{std::make_unique<Impl>(Impl{options, SysctlKeeper{options.state_file}})};
}

Status Fallback::apply(const FallbackState& wanted) {
  auto owned = foreign_addresses(wanted);
  if (!owned) return owned.error();
  const auto rules = fallback_ruleset(impl_->options.table, wanted, *owned);
  if (!rules) return rules.error();
  // Rules first: an address that the kernel owns without them would be answered with resets.
  if (auto done = run_nft(*rules); !done) return done;
  const bool v6 = std::any_of(wanted.services.begin(), wanted.services.end(),
                              [](const FallbackService& service) { return !service.address.is_v4(); });
  if (auto done = impl_->apply_settings(wanted, v6); !done) return done;
  return own_addresses(*owned, wanted.interfaces);
}

Status Fallback::remove() {
  if (auto done = own_addresses({}, {}); !done) return done;
  const std::string table = "table inet " + impl_->options.table;
  if (auto done = run_nft(table + " {}\ndelete " + table + "\n"); !done) return done;
  return impl_->settings.restore();
}

}  // namespace penstock::kernel
