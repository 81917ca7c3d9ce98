/// One piece of a template: text between tags, or a word inside one.
struct Token: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case data(String)
        case variableBegin
        case variableEnd
        case blockBegin
        case blockEnd
        case name(String)
        case string(String)
        case integer(String)
        case float(String)
        case symbol(Symbol)
        case end
    }

    enum Symbol: String, Sendable, CaseIterable {
        case power = "**"
        case floorDivide = "//"
        case equal = "=="
        case notEqual = "!="
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case plus = "+"
        case minus = "-"
        case times = "*"
        case divide = "/"
        case modulo = "%"
        case tilde = "~"
        case less = "<"
        case greater = ">"
        case assign = "="
        case leftParenthesis = "("
        case rightParenthesis = ")"
        case leftBracket = "["
        case rightBracket = "]"
        case leftBrace = "{"
        case rightBrace = "}"
        case comma = ","
        case colon = ":"
        case dot = "."
        case pipe = "|"

        /// Longest first, so that `**` is not read as two `*`.
        static let byBytes: [(bytes: [UInt8], symbol: Symbol)] =
            allCases.map { (Array($0.rawValue.utf8), $0) }.sorted { $0.bytes.count > $1.bytes.count }

        var closer: Symbol? {
            switch self {
            case .leftParenthesis: .rightParenthesis
            case .leftBracket: .rightBracket
            case .leftBrace: .rightBrace
            default: nil
            }
        }
    }

    var kind: Kind
    var line: Int

    /// How an error message names the token.
    var description: String {
        switch kind {
        case .data: "text"
        case .variableBegin: "'{{'"
        case .variableEnd: "'}}'"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .name(let name): "'\(name)'"
        case .string: "a string"
        case .integer(let text), .float(let text): text
        case .symbol(let symbol): "'\(symbol.rawValue)'"
        case .end: "the end of the template"
        }
    }
}
