/// A piece of a template's body.
struct Statement: Sendable {
    indirect enum Node: Sendable {
        case text(String)
        case output(Expression)
        case conditional([(condition: Expression, body: [Statement])], otherwise: [Statement])
        case loop(Loop)
        case assign(Target, Expression)
        case assignBlock(Target, filters: [Expression.Access], body: [Statement])
        case with([(target: Target, value: Expression)], body: [Statement])
        case filtered([Expression.Access], body: [Statement])
        case macro(MacroDefinition)
        /// A macro call that hands its body over as `caller`.
        case call(Expression, caller: MacroDefinition)
        /// Marks what the model says, for training; rendering passes through.
        case generation([Statement])
        case breakLoop
        case continueLoop
    }

    indirect enum Target: Sendable {
        case name(String)
        case attribute(object: String, name: String)
        case tuple([Target])
    }

    struct Loop: Sendable {
        var target: Target
        var sequence: Expression
        var filter: Expression?
        var body: [Statement]
        var otherwise: [Statement]
    }

    struct MacroDefinition: Sendable {
        struct Parameter: Sendable {
            var name: String
            var defaultValue: Expression?
        }

        var name: String
        var parameters: [Parameter]
        var body: [Statement]
    }

    var line: Int
    var node: Node
}
