import CPlatform

/// A refusal of the operating system: what was asked of it, and its error number.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The operation in a few words, with the path or address where that helps.
    public let operation: String
    /// An errno value.
    public let code: Int32

    public init(operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    public var description: String { "\(operation): \(reason)" }

    /// What the system said, without the operation: for those who may not see a path.
    public var reason: String {
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
            guard let start = buffer.baseAddress, let text = apus_error_text(code, start, buffer.count) else {
                return ""
            }
            return String(cString: text)
        }
        return "\(text) (errno \(code))"
    }
}

/// Turns a shim's result, negative for an error, into a value or a thrown error.
@inline(__always)
func checked<Number: SignedInteger>(
    _ result: Number, _ operation: @autoclosure () -> String
) throws(SystemError) -> Number {
    guard result >= 0 else { throw SystemError(operation: operation(), code: Int32(-result)) }
    return result
}
