#include "tests/conformance/runner/runner.h"

#include <algorithm>
#include <deque>
#include <map>

#include "tests/conformance/runner/choices.h"
#include "tests/conformance/runner/icmp_kinds.h"
#include "tests/conformance/runner/info.h"
#include "tests/conformance/runner/match.h"
#include "tests/conformance/runner/options_text.h"
#include "tests/conformance/runner/syscalls.h"

namespace penstock::script {
namespace {

using std::chrono::microseconds;

constexpr std::uint16_t kLocalPort = 8080;
constexpr std::uint16_t kFirstRemotePort = 40000;
// Longest silence that "at any time" waits through.
constexpr Duration kAnyTimeMax = std::chrono::hours{4};

std::int64_t in_us(Duration d) { return d / microseconds{1}; }

class Player {
 public:
  Player(const Script& script, const Settings& settings, bool v4)
      : script_{script}, settings_{settings}, host_{settings_, v4}, calls_{host_, settings_} {
    flow_.key = host_.key_of(kLocalPort, kFirstRemotePort);
    start_ = last_ = host_.now();
  }

  Verdict run() {
    for (const Event& event : script_.events) {
      event_ = &event;
      begin(event);
      std::visit([this](const auto& what) { on(what); }, event.what);
      if (decided_) break;
    }
    if (!decided_) finish();
    verdict_.notes = settings_.notes;
    if (verdict_.result != Result::pass) verdict_.notes.insert(verdict_.notes.end(), recent_.begin(), recent_.end());
    return verdict_;
  }

 private:
  struct Flow {
    tcp::ConnectionKey key;
    bool listening{};  ///< the next SYN makes a connection
    bool opened{};
    int fd{-1};
    bool path_known{};         ///< another connection learned the path MTU before
    const Packet* offer{};     ///< the peer's SYN
    std::uint32_t last_ack{};  ///< of what arrived last
    std::uint32_t sent_end{};
    std::map<std::uint32_t, Instant> sent_at;  ///< when the segment with this number left last
    Mapping mapping;
  };
  struct Blocked {
    const Event* event;
    const Call* call;
    Progress progress;
    std::optional<Instant> due;
  };

  void decide(Result result, const Event& event, const std::string& why) {
    if (decided_) return;
    decided_ = true;
    verdict_.result = result;
    verdict_.line = event.line;
    verdict_.reason = why;
  }
  void fail(const std::string& why) {
    if (excuse_.empty()) return decide(Result::fail, *event_, why);
    refuse("after " + excuse_ + ": " + why);
  }
  void refuse(const std::string& why) { decide(Result::unsupported, *event_, why); }

  [[nodiscard]] std::string clock(Instant at) const {
    const std::int64_t us = in_us(at - start_);
    std::string fraction = std::to_string(us % 1'000'000);
    fraction.insert(0, 6 - fraction.size(), '0');
    return std::to_string(us / 1'000'000) + "." + fraction + " s";
  }

  /// Sets due_ (and due_end_), and lets time pass until then; a packet that must leave is waited for elsewhere.
  void begin(const Event& event) {
    const When& when = event.when;
    any_ = when.kind == When::Kind::any;
    due_ = host_.now();
    if (!any_) due_ = (when.kind == When::Kind::absolute ? start_ : last_) + microseconds{when.us};
    due_end_ = due_;
    if (when.end_us && !any_)
      due_end_ = (when.kind == When::Kind::absolute ? start_ : last_) + microseconds{*when.end_us};
    const Packet* packet = std::get_if<Packet>(&event.what);
    const bool waits = packet != nullptr && !packet->inbound;
    if (waits) return;
    if (host_.now() > due_ + tolerance()) fail("this is due at " + clock(due_) + ", but it is " + clock(host_.now()));
    run_until(due_);
    last_ = std::max(due_, host_.now());
  }
  [[nodiscard]] Duration tolerance() const { return microseconds{settings_.tolerance_us}; }

  /// Time passes; blocked calls are asked again whenever something may have happened.
  void run_until(Instant until) {
    for (;;) {
      retry();
      const Instant next = std::min(host_.next_deadline(), wake_);
      if (next > until || decided_) break;
      host_.run_until(std::max(next, host_.now()));
      if (host_.exhausted())
        return fail("no end: more than " + std::to_string(settings_.timers_max) + " timers fired (timers_max)");
      if (next == wake_) wake_ = tcp::kNever;
    }
    if (decided_) return;
    host_.run_until(until);
    retry();
  }

  void retry() {
    if (!blocked_ || decided_) return;
    const Event* const current = std::exchange(event_, blocked_->event);
    const Outcome outcome = calls_.attempt(*blocked_->call, blocked_->progress);
    if (!outcome.blocks) {
      const Blocked done = *blocked_;
      blocked_.reset();
      if (done.due && (host_.now() > *done.due + tolerance() || host_.now() < *done.due - tolerance())) {
        const std::string why =
            done.call->name + "() returns at " + clock(host_.now()) + ", expected at " + clock(*done.due);
        const bool same = outcome.result == done.call->result.number;
        const std::string_view choice = same ? choice_in_call(*done.call, outcome.result, scene()) : "";
        choice.empty() ? fail(why) : refuse(std::string{choice} + ": " + why);
      }
      judge(*done.call, outcome);
    }
    event_ = current;
  }

  void on(const Shell& shell) {
    const std::string problem = settings_.shell(shell.text);
    if (!problem.empty()) refuse(problem);
  }

  void on(const Assertions& assertions) {
    const Socket* socket = flow_.fd >= 0 ? host_.find(flow_.fd) : host_.newest();
    if (const Socket* found = host_.latest(flow_.key)) socket = found;
    const AssertionResult result =
        check_assertions(assertions.text, {socket, host_.pools(), host_.now(), settings_.bsd}, variables_);
    if (const std::string_view choice = choice_in_assertion(result.failure, scene()); !choice.empty())
      return refuse(std::string{choice} + ": " + result.failure);
    if (!result.failure.empty()) return fail(result.failure);
    if (!result.unsupported.empty()) refuse(result.unsupported);
  }

  void on(const Call& call) {
    if (blocked_) {  // one call at a time: the one before must return first
      wait_for_blocked();
      if (decided_) return;
    }
    const std::optional<Instant> due = event_->when.end_us ? std::optional{due_end_} : std::nullopt;
    blocked_ = Blocked{event_, &call, {}, due};
    if (call.name == "usleep" || call.name == "sleep" || call.name == "poll") set_wake(call);
    retry();
    follow(call);
    if (blocked_ && !due) {
      wait_for_blocked();
      last_ = std::max(last_, host_.now());
    }
  }

  void set_wake(const Call& call) {
    const std::int64_t n =
        call.arguments.empty() ? 0 : call.arguments[call.name == "poll" ? call.arguments.size() - 1 : 0].number;
    if (n < 0 || n > 1'000'000'000) return;
    wake_ = host_.now() + (call.name == "sleep"    ? Duration{std::chrono::seconds{n}}
                           : call.name == "usleep" ? Duration{microseconds{n}}
                                                   : Duration{std::chrono::milliseconds{n}});
  }

  void wait_for_blocked() {
    const Instant limit = host_.now() + kAnyTimeMax;
    while (blocked_ && !decided_) {
      const Instant next = std::min(host_.next_deadline(), wake_);
      if (next > limit) {
        decide(Result::fail, *blocked_->event, blocked_->call->name + "() blocks and nothing will wake it");
        return;
      }
      run_until(next);
    }
  }

  /// The connection that packets of the script are about changes with these calls.
  void follow(const Call& call) {
    const std::int64_t fd = call.arguments.empty() ? -1 : call.arguments[0].number;
    Socket* socket = host_.find(fd);
    if (socket == nullptr || decided_) return;
    if (call.name == "listen" && socket->kind == Socket::Kind::listening) {
      flow_ = Flow{};
      flow_.path_known = too_big_;
      flow_.listening = true;
      flow_.fd = socket->fd;
      flow_.key = host_.key_of(socket->port, next_remote_port_++);
    } else if (call.name == "connect" && socket->kind == Socket::Kind::connection && !(flow_.key == socket->key)) {
      flow_ = Flow{};
      flow_.path_known = too_big_;
      flow_.opened = true;
      flow_.fd = socket->fd;
      flow_.key = socket->key;
    }
  }

  void judge(const Call& call, const Outcome& outcome) {
    if (!outcome.unsupported.empty()) return refuse(outcome.unsupported);
    const std::string came = std::to_string(outcome.result) + (outcome.error.empty() ? "" : " " + outcome.error);
    const bool any = call.result.is(Value::Kind::any);
    const std::string wanted = call.error == "EWOULDBLOCK" ? "EAGAIN" : call.error;
    std::string expected = any ? "..." : std::to_string(call.result.number);
    if (!call.error.empty()) expected += " " + call.error;
    if (!any && !call.result.is(Value::Kind::number)) return refuse("result '" + call.result.text + "'");
    const bool same = any || (call.result.number == outcome.result &&
                              (outcome.result >= 0 || call.error.empty() || wanted == outcome.error));
    const std::string differs = call.name + "(): expected " + expected + ", came " + came;
    const std::string_view choice =
        !same && call.result.number > 0 ? choice_in_call(call, outcome.result, scene()) : std::string_view{};
    if (!choice.empty()) return refuse(std::string{choice} + ": " + differs);
    if (!same) return fail(differs);
    if (!outcome.mismatch.empty()) fail(call.name + "(): " + outcome.mismatch);
  }

  void on(const Packet& packet) { packet.inbound ? inject(packet) : expect(packet); }

  /// Adds the timestamps that a script leaves out where its stack does without.
  void complete(std::vector<Option>& options, std::uint8_t flags) {
    const Socket* socket = host_.find(flow_.key);
    const bool asked = settings_.missing_ts && socket != nullptr && socket->connected() && (flags & kFlagRst) == 0;
    if (!asked || !socket->ep.timestamps.on) return;
    for (const Option& option : options)
      if (option.kind == Option::Kind::timestamps) return;
    Option& added = options.emplace_back();
    added.kind = Option::Kind::timestamps;
    added.a = socket->ep.timestamps.recent;
  }

  /// What other stacks take another way than we do: differences after it are no verdict on either.
  void judge_arrival(const Packet& packet, tcp::SegmentOut& segment) {
    for (const Option& option : packet.options)
      if (option.kind == Option::Kind::fast_open) excuse_ = "a fast open option";
    if ((packet.flags & (kFlagSyn | kFlagAck)) == kFlagSyn && packet.octets > 0)
      excuse_ = "data on a SYN, which is not kept: its sender repeats it";
    const Socket* socket = host_.find(flow_.key);
    if (socket == nullptr || socket->waiting || socket->ep.state == tcp::State::syn_sent) return;
    const tcp::Endpoint& ep = socket->ep;
    const SeqNum edge = ep.receive_window.edge();
    if (packet.octets > 0 && edge.precedes(segment.seq + SeqSpan{packet.octets}))
      excuse_ = "data beyond the offered window in line " + std::to_string(event_->line);
    if (!settings_.unsent_acks && (segment.flags & kFlagAck) != 0 && ep.queue.nxt().precedes(segment.ack))
      spare_ack_ = true;
    // FreeBSD accepts what its buffer holds, also where the window field cannot say so much: what lies at the edge of
    // its window is played at the edge of ours.
    const SeqNum theirs = ep.rcv_nxt + SeqSpan{socket->limits.receive_budget_octets};
    const bool rounded = socket->connected() || socket->parent == nullptr;
    const bool cut = rounded && settings_.round_buffer && ep.receive_window.shift() == 0 && edge.precedes(theirs);
    if (cut && packet.octets == 0 && edge.at_most(segment.seq)) segment.seq = segment.seq - theirs.since(edge);
  }

  void inject(const Packet& packet) {
    const bool syn = (packet.flags & kFlagSyn) != 0 && (packet.flags & kFlagAck) == 0;
    if (syn && flow_.listening && !flow_.opened) flow_.opened = true;
    if (syn) flow_.offer = &packet;
    // A new connection with the same ends chooses a new first number.
    const Socket* const before = host_.find(flow_.key);
    if (syn && flow_.listening && (before == nullptr || before->waiting)) flow_.mapping.local_known = false;
    // What is no SYN counts from the SYN that opened the connection, as the script wrote it.
    const bool waits = before != nullptr && before->waiting;
    const bool none = before == nullptr || before->over();
    const bool opens = none ? flow_.listening : before->ep.state == tcp::State::syn_sent;
    if ((packet.flags & kFlagSyn) != 0 && opens && !waits) flow_.mapping.remote_first = packet.seq;
    const Mapping& map = flow_.mapping;
    tcp::SegmentOut segment;
    segment.seq = SeqNum{packet.seq + map.remote_in(packet.flags)};
    segment.ack = SeqNum{packet.ack.value_or(0) + ((packet.flags & kFlagAck) != 0 ? map.local : 0)};
    segment.flags = packet.flags;
    segment.window = packet.window.value_or(0);
    std::vector<Option> options = packet.options;
    for (Option& option : options) {
      for (auto& [start, end] : option.blocks) start += map.local, end += map.local;
      if (option.kind != Option::Kind::timestamps || option.b == 0) continue;
      const auto known = map.ts.find(option.b);
      option.b = known != map.ts.end() ? known->second : option.b - map.first_ts_script + map.first_ts_wire;
    }
    complete(options, packet.flags);
    const std::optional<tcp::OptionBytes> bytes = encode(options);
    if (!bytes || packet.any_options) return refuse("options that do not fit");
    segment.options = *bytes;
    judge_arrival(packet, segment);
    payload_.assign(packet.octets, std::byte{0});
    segment.payload = payload_;
    if ((packet.flags & kFlagAck) != 0) flow_.last_ack = packet.ack.value_or(0);
    remember("< " + text_of(packet), host_.now());
    host_.receive(flow_.key, segment, {packet.urgent, packet.accurate});
    const Socket* const after = host_.find(flow_.key);
    if (syn && waits && after != nullptr && !after->waiting) flow_.mapping.remote_first = packet.seq;
    retry();
  }

  /// The next segment of this connection that has left; others' are passed over.
  const Sent* front() {
    while (!host_.sent.empty() && !(host_.sent.front().key == flow_.key)) host_.sent.pop_front();
    return host_.sent.empty() ? nullptr : &host_.sent.front();
  }

  /// Time passes until a segment has left, or `limit` is reached.
  void await(Instant limit) {
    while (front() == nullptr) {
      const Instant next = std::min(host_.next_deadline(), wake_);
      if (next > limit || decided_) break;
      run_until(next);
    }
  }

  [[nodiscard]] Scene scene() { return {settings_, host_.find(flow_.key), flow_.path_known, too_big_, flow_.sent_end}; }

  void expect(const Packet& packet) {
    if (const std::string why = beyond_us(packet); !why.empty()) return refuse(why);
    const Instant limit = any_ ? host_.now() + kAnyTimeMax : due_end_ + tolerance();
    await(limit);
    if (decided_) return;
    if (pass_over_spare(packet)) await(limit);
    if (front() == nullptr) return silent(packet, limit);
    const Sent sent = take(packet);
    Sent came = to_script(sent, packet, flow_.mapping);
    if (settings_.fin_repeats) repeat_fin(came, packet, flow_.mapping);
    choose_reset(came, packet);
    remember("> " + text_of(came), sent.at);
    const std::string what = difference(came, packet, settings_, window_slack());
    const std::string differs = "expected " + text_of(packet) + ", came " + text_of(came) + " at " + clock(sent.at);
    if (!what.empty()) {
      const std::string_view choice = choice_in(what, came, packet, scene());
      return choice.empty() ? fail(what + ": " + differs) : refuse(std::string{choice} + ": " + differs);
    }
    on_time(packet, sent.at, limit);
    flow_.sent_at[packet.seq] = sent.at;
    if (const std::uint32_t end = packet.seq + packet.octets; SeqNum{flow_.sent_end}.precedes(SeqNum{end}))
      flow_.sent_end = end;
  }

  /// The next segment, with those that leave together with it as far as the script wants them.
  Sent take(const Packet& packet) {
    Sent sent = *front();
    host_.sent.pop_front();
    while (sent.octets < packet.octets && front() != nullptr && joins(sent, *front(), settings_.tolerance_us)) {
      sent.octets += front()->octets;
      sent.flags |= front()->flags;
      host_.sent.pop_front();
    }
    return sent;
  }

  void silent(const Packet& packet, Instant limit) {
    const std::string nothing = "expected " + text_of(packet) + " until " + clock(limit) + ", nothing came";
    const std::string_view choice = choice_in_silence(packet, scene());
    if (choice.empty() && comes_delayed(packet))
      return refuse("how long an acknowledgement is delayed is a stack's own (RFC 9293 s3.8.6.3): " + nothing);
    if (choice.empty()) return fail(nothing);
    // A stack's own is when it comes, not whether.
    constexpr Duration kPatience = std::chrono::seconds{10};
    const bool repairs = is_repairing(scene());
    if (repairs) await(host_.now() + kPatience);
    if (repairs && front() == nullptr) return fail(nothing + ", nor later");
    refuse(std::string{choice} + ": " + nothing);
  }

  /// The acknowledgement of data in order that is expected comes within the half second that it may take.
  bool comes_delayed(const Packet& packet) {
    constexpr Duration kDelayMax = std::chrono::milliseconds{500};
    const bool pure = packet.octets == 0 && packet.flags == kFlagAck && packet.options.empty();
    const Socket* socket = host_.find(flow_.key);
    if (settings_.strict_choices || !pure || socket == nullptr || socket->ep.reassembly.pieces() > 0) return false;
    await(host_.now() + kDelayMax);
    if (front() == nullptr) return false;
    const Sent came = to_script(*front(), packet, flow_.mapping);
    return difference(came, packet, settings_, window_slack()).empty();
  }

  void on_time(const Packet& packet, Instant at, Instant limit) {
    const bool pure = packet.octets == 0 && packet.flags == kFlagAck;
    const Duration early = pure ? microseconds{settings_.early_acks_us} : Duration::zero();
    if (!any_ && (at > limit || at < due_ - tolerance() - early)) {
      const std::string why = "expected " + text_of(packet) + " at " + clock(due_) + ", came at " + clock(at);
      const auto before = flow_.sent_at.find(packet.seq);
      const std::string_view choice = before != flow_.sent_at.end() && at < due_
                                          ? choice_in_time(due_ - before->second, scene())
                                          : std::string_view{};
      return choice.empty() ? fail("time: " + why) : refuse(std::string{choice} + ": " + why);
    }
    last_ = std::max(at, last_);
    if (early > Duration::zero() && !any_) last_ = std::max(last_, due_);
  }

  /// A reset for what arrived after the end may have the number that the peer awaits, or the next of ours.
  void choose_reset(Sent& came, const Packet& packet) const {
    const bool resets = (came.flags & packet.flags & kFlagRst) != 0;
    if (resets && !settings_.strict_choices && packet.seq == flow_.last_ack) came.seq = SeqNum{packet.seq};
  }

  /// For the notes of a script that does not pass: what came and left last.
  void remember(const std::string& what, Instant at) {
    constexpr std::size_t kRemembered = 12;
    if (recent_.size() == kRemembered) recent_.pop_front();
    recent_.push_back(clock(at) + " " + what);
  }

  /// Why a packet can never come from us: what was not negotiated, or may not be.
  [[nodiscard]] std::string beyond_us(const Packet& packet) const {
    using Kind = Option::Kind;
    if ((packet.flags & (kFlagEce | kFlagCwr)) != 0 || packet.accurate || packet.ecn != 0) return "ECN is expected";
    const auto has = [](const Packet& where, Kind kind) {
      return std::any_of(where.options.begin(), where.options.end(),
                         [kind](const Option& o) { return o.kind == kind; });
    };
    if (has(packet, Kind::fast_open)) return "fast open is expected";
    if (has(packet, Kind::other)) return "an MD5 digest is expected";
    const bool answers = (packet.flags & (kFlagSyn | kFlagAck)) == (kFlagSyn | kFlagAck) && flow_.offer != nullptr;
    if (!answers || settings_.strict_choices) return "";
    for (const Kind kind : {Kind::window_scale, Kind::timestamps, Kind::sack_permitted})
      if (has(packet, kind) && !has(*flow_.offer, kind))
        return "an option on a SYN-ACK that the SYN did not carry (RFC 7323 s2.2, s3.2; RFC 2018 s2)";
    return "";
  }

  /// One acknowledgement that this stack owes and the script's does not send.
  bool pass_over_spare(const Packet& packet) {
    if (!std::exchange(spare_ack_, false) || front() == nullptr) return false;
    Mapping mapping = flow_.mapping;
    const Sent came = to_script(*front(), packet, mapping);
    const bool pure = came.octets == 0 && came.flags == kFlagAck;
    if (!pure || difference(came, packet, settings_, window_slack()).empty()) return false;
    host_.sent.pop_front();
    return true;
  }

  /// By how many units a window may fall short: less than a segment, which the receiver's silly-window rule keeps back.
  [[nodiscard]] std::uint32_t window_slack() {
    const Socket* socket = host_.find(flow_.key);
    if (!settings_.window_slack || socket == nullptr) return 0;
    const std::uint32_t shift = socket->connected() ? socket->ep.receive_window.shift() : 0;
    return (std::uint32_t{socket->ep.pmtu.mss()} - 1) >> shift;
  }

  void on(const Icmp& icmp) {
    if (!icmp.inbound) return refuse("an ICMP message that leaves");
    const std::optional<IcmpKind> kind = kind_of(icmp, host_.v4());
    if (!kind) return refuse("ICMP " + icmp.type + " " + icmp.code);
    if (!(host_.v4() ? kind->v4 : kind->v6)) return refuse("ICMP " + icmp.type + " of the other family");
    std::optional<SeqNum> quoted;
    if (icmp.quoted) quoted = SeqNum{*icmp.quoted + flow_.mapping.local};
    too_big_ = too_big_ || kind->too_big;
    host_.receive_icmp(flow_.key, kind->too_big, static_cast<std::uint16_t>(std::min<std::uint32_t>(icmp.mtu, 65535)),
                       std::string{settings_.bsd && !kind->bsd_error.empty() ? kind->bsd_error : kind->error}, quoted);
    retry();
  }

  void finish() {
    event_ = &script_.events.back();
    if (blocked_) {
      run_until(blocked_->due.value_or(host_.now()) + tolerance());
      if (blocked_ && !decided_)
        decide(Result::fail, *blocked_->event, blocked_->call->name + "() still blocks at the end");
    }
    if (decided_ || !settings_.strict_end || front() == nullptr) return;
    const Sent left = to_script(*front(), Packet{}, flow_.mapping);
    fail("the script ends, but " + text_of(left) + " had left at " + clock(left.at));
  }

  const Script& script_;
  Settings settings_;
  Host host_;
  Calls calls_;
  Flow flow_;
  std::uint16_t next_remote_port_{kFirstRemotePort};
  Instant start_{}, last_{}, due_{}, due_end_{}, wake_{tcp::kNever};
  bool any_{};
  std::optional<Blocked> blocked_;
  std::vector<std::byte> payload_;
  Variables variables_;
  const Event* event_{};
  std::deque<std::string> recent_;
  std::string excuse_;  ///< why a difference from here on says nothing
  bool spare_ack_{};
  bool too_big_{};  ///< an ICMP message told of a smaller path MTU
  bool decided_{};
  Verdict verdict_;
};

}  // namespace

Verdict play(const Script& script, const Settings& settings, bool v4) { return Player{script, settings, v4}.run(); }

}  // namespace penstock::script
