/// Why a template cannot be read or rendered.
///
/// Messages name types and constructs, never the contents of a conversation; only `raised` carries text that the
/// template itself makes, and that text is meant for the client.
public enum TemplateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The source is no template.
    case syntax(line: Int, message: String)
    /// The template needs something that this interpreter does not have.
    case unsupported(construct: String, line: Int)
    /// The template called `raise_exception`: the client's messages do not fit it.
    case raised(message: String)
    case limitExceeded(limit: String, maximum: Int, line: Int)
    /// An operation on values that it is not defined for.
    case type(line: Int, message: String)

    public var description: String {
        switch self {
        case .syntax(let line, let message): "template line \(line): \(message)"
        case .unsupported(let construct, let line): "template line \(line): \(construct) is not supported"
        case .raised(let message): "the chat template refuses the messages: \(message)"
        case .limitExceeded(let limit, let maximum, let line):
            "template line \(line): more than \(maximum) \(limit)"
        case .type(let line, let message): "template line \(line): \(message)"
        }
    }
}
