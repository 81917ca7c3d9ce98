/// How a connection wants its answers, changed by `rpc.configure`.
struct RPCOptions: Sendable, Equatable {
    enum Compatibility: String, Sendable, CaseIterable {
        /// Notifications while a run goes on, and one response when it has ended.
        case modern
        /// Many responses with the run's id, the last of which says so: as the ancestor of this protocol has it.
        case nano
    }

    var compatibility = Compatibility.modern
    /// Whether runs send what they have while they go on; nano always does.
    var streams = true
    var tensors = TensorEncoding.auto
}
