/// A formula of a template.
///
/// Operators of equal rank and accesses that follow each other are kept as lists, so that a long sum or a long chain of
/// filters costs no depth.
struct Expression: Sendable {
    enum Literal: Sendable {
        case none
        case boolean(Bool)
        case integer(Int)
        case bigInteger(String)
        case float(Double)
        case string(String)
    }

    enum Arithmetic: Sendable {
        case add, subtract, multiply, divide, floorDivide, modulo, power
    }

    enum Comparison: Sendable {
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, contained, notContained
    }

    indirect enum Node: Sendable {
        case literal(Literal)
        case name(String)
        case list([Expression])
        case tuple([Expression])
        case map([(key: Expression, value: Expression)])
        case arithmetic(Expression, [(operation: Arithmetic, operand: Expression)])
        case concatenation([Expression])
        case comparison(Expression, [(operation: Comparison, operand: Expression)])
        case all([Expression])
        case any([Expression])
        case not(Expression)
        case negative(Expression)
        case positive(Expression)
        case conditional(condition: Expression, then: Expression, otherwise: Expression?)
        case access(Expression, [Access])
    }

    /// What can follow a value: `.name`, `[…]`, `(…)`, `| filter`, `is test`.
    struct Access: Sendable {
        indirect enum Kind: Sendable {
            case attribute(String)
            case item(Expression)
            case slice(start: Expression?, stop: Expression?, step: Expression?)
            case call(ArgumentList)
            case filter(String, ArgumentList)
            case test(String, ArgumentList, isNegated: Bool)
        }

        var line: Int
        var kind: Kind
    }

    struct ArgumentList: Sendable {
        var positional: [Expression] = []
        var keywords: [(name: String, value: Expression)] = []
        var spreadPositional: Expression?
        var spreadKeywords: Expression?
    }

    var line: Int
    var node: Node
}
