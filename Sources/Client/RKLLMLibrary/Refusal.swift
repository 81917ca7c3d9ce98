import EngineProtocol
import Platform

/// Why a function returns -1, in words for the programmer who calls it.
public struct Refusal: Error, Sendable, Equatable {
    public let text: String

    public init(_ text: String) { self.text = text }

    init(_ error: EngineError) { text = error.text }

    /// What the library lacks.
    public static func unsupported(_ feature: String) -> Refusal { Refusal("\(feature): not supported") }
}

/// Lines on standard error, in the form that the runtime's own have.
enum Speech {
    enum Kind: String {
        case error = "E"
        case warning = "W"
        case info = "I"
    }

    static func say(_ kind: Kind, _ function: StaticString, _ text: String) {
        // A program whose standard error is closed reads nothing anyway.
        try? StandardIO.writeAll(StandardIO.error, "\(kind.rawValue) rkllm: \(function): \(text)\n")
    }

    /// Whether the runtime would print figures after each run.
    static var tellsFigures: Bool {
        Environment.value("RKLLM_LOG_LEVEL").flatMap { Int($0) }.map { $0 >= 1 } ?? false
    }
}
