// Calls that move payload: read, write and their kin.
#include <algorithm>
#include <array>

#include "tests/conformance/runner/arguments.h"
#include "tests/conformance/runner/syscalls.h"

namespace penstock::script {
namespace {

/// How many octets a read or write is about, and its flags.
struct Amount {
  std::int64_t octets{};
  std::string flags;
  std::optional<std::int64_t> left;  ///< what TCP_CM_INQ must say
  bool known{true};
};

/// A control message TCP_CM_INQ, which is the only one known.
std::optional<std::int64_t> inquiry_of(const Value& control) {
  const Value& one = inside(control);
  const Value *type = field_of(one, "cmsg_type"), *data = field_of(one, "cmsg_data");
  const bool known = control.items.size() == 1 && type != nullptr && type->text == "TCP_CM_INQ" && data != nullptr;
  if (!known || !data->is(Value::Kind::number)) return std::nullopt;
  return data->number;
}

Amount amount_of(const Call& call) {
  Amount out;
  if (call.name == "readv" || call.name == "writev") {
    out.octets = vector_octets(call.arguments[1]);
  } else if (call.name == "sendmsg" || call.name == "recvmsg") {
    const Value* vector = field_of(call.arguments[1], "msg_iov");
    const Value* control = field_of(call.arguments[1], "msg_control");
    if (control != nullptr) out.left = inquiry_of(*control);
    out.known = vector != nullptr && (control == nullptr || out.left);
    if (vector != nullptr) out.octets = vector_octets(*vector);
    out.flags = name_of(call, 2);
  } else if (call.name == "sendfile") {
    out.octets = number_of(call, 3);
  } else {
    out.octets = number_of(call, 2);
    if (call.name != "read" && call.name != "write") out.flags = name_of(call, 3);
  }
  return out;
}

bool lacks_buffer(const Call& call) {
  return call.name.find("file") == std::string::npos && name_of(call, 1) == "NULL";
}

}  // namespace

Outcome Calls::take(Socket& socket, std::int64_t wanted, bool peek) {
  const auto octets = static_cast<std::uint32_t>(std::min<std::int64_t>(socket.readable, wanted));
  if (peek) return value(octets);
  socket.readable -= octets;
  if (!socket.over() && !socket.waiting) {
    socket.engine->consume(socket.ep, octets);
    host_.pump(socket);
  }
  return value(octets);
}

Outcome Calls::read(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const Amount amount = amount_of(call);
  if (!amount.known || !only_flags(amount.flags, {"MSG_DONTWAIT", "MSG_PEEK", "MSG_NOSIGNAL"}))
    return unsupported(call.name + "() with " + (amount.known ? amount.flags : "this message header"));
  if (socket->kind != Socket::Kind::connection) return error("ENOTCONN");
  if (socket->readable > 0) {
    if (lacks_buffer(call)) return error("EFAULT");
    Outcome out = take(*socket, amount.octets, has_flag(amount.flags, "MSG_PEEK"));
    const std::int64_t left = socket->readable > 0 ? socket->readable : socket->end_of_stream() ? 1 : 0;
    if (amount.left && *amount.left != left) out.mismatch = "TCP_CM_INQ is " + std::to_string(left);
    return out;
  }
  if (!socket->error.empty()) {
    const std::string what = std::exchange(socket->error, "");
    return what == "EPIPE" ? value(0) : error(what);
  }
  if (amount.octets == 0 || socket->end_of_stream() || socket->over() || socket->waiting) return value(0);
  if (!socket->connected()) {
    const bool asked = socket->ep.state == tcp::State::syn_sent && settings_.bsd;
    if (socket->nonblocking) return error(asked ? "ENOTCONN" : "EAGAIN");
    return blocked();
  }
  return socket->nonblocking || has_flag(amount.flags, "MSG_DONTWAIT") ? error("EAGAIN") : blocked();
}

Outcome Calls::hold(Socket& socket, std::int64_t octets) {
  const bool was_held = socket.held > 0;
  socket.held += static_cast<std::uint32_t>(octets);
  host_.release(socket, socket.held / socket.ep.payload_max() * socket.ep.payload_max());
  if (socket.held > 0 && (!was_held || socket.push_at == tcp::kNever))
    socket.push_at = host_.now() + socket.ep.rto.timeout(socket.limits);
  return value(octets);
}

Outcome Calls::write(const Call& call, Progress& progress) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const Amount amount = amount_of(call);
  if (!amount.known || amount.left ||
      !only_flags(amount.flags, {"MSG_DONTWAIT", "MSG_NOSIGNAL", "MSG_MORE", "MSG_EOR", "MSG_ZEROCOPY"}))
    return unsupported(call.name + "() with " + (amount.known ? amount.flags : "this message header"));
  if (amount.octets < 0 || amount.octets > (64 << 20)) return unsupported("a write above 64 MiB");
  if (call.name == "sendfile" && !files_.contains(number_of(call, 1))) return unsupported("sendfile() of no file");
  if (socket->kind != Socket::Kind::connection) return error("EPIPE");
  if (!socket->error.empty()) return error(std::exchange(socket->error, ""));
  if (socket->over() || socket->waiting || socket->write_shut) return error("EPIPE");
  if (lacks_buffer(call)) return error("EFAULT");
  const bool wait = !socket->nonblocking && !has_flag(amount.flags, "MSG_DONTWAIT");
  if (!socket->connected()) return wait ? blocked() : error("EAGAIN");
  host_.replies(*socket);
  if (socket->cork || has_flag(amount.flags, "MSG_MORE")) return hold(*socket, amount.octets);
  host_.release(*socket, socket->held);
  const std::uint32_t before = progress.done;
  progress.done += host_.write(*socket, static_cast<std::uint32_t>(amount.octets - before));
  if (progress.done >= amount.octets && has_flag(amount.flags, "MSG_EOR")) host_.seal(*socket);
  if (progress.done > before) host_.pump(*socket);
  if (progress.done >= amount.octets) return value(progress.done);
  if (wait) return blocked();
  return progress.done > 0 ? value(progress.done) : error("EAGAIN");
}

Outcome Calls::open_file(const Call& call, Progress&) {
  const std::int64_t fd = call.result.number;
  if (fd < 3 || host_.find(fd) != nullptr || !only_flags(name_of(call, 1), {"O_RDONLY"}))
    return unsupported("open() of other than a file to send");
  files_.insert(fd);
  return value(fd);
}

}  // namespace penstock::script
