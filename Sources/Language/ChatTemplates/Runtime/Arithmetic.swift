/// Calculation as Python does it: integers stay integers, `/` gives a float, `//` and `%` round down.
extension Budget {
    func calculate(_ operation: Expression.Arithmetic, _ left: Value, _ right: Value) throws(TemplateError) -> Value {
        if let left = Self.integer(left), let right = Self.integer(right) {
            return try integers(operation, left, right)
        }
        if let left = Self.number(left), let right = Self.number(right) {
            return .float(try floats(operation, left, right))
        }
        switch operation {
        case .add: return try join(left, right)
        case .multiply: return try repeated(left, right)
        case .modulo:
            if let format = left.text { return left.rewrapping(try PythonFormat.percent(format, right, self)) }
        default: break
        }
        throw typeError("\(left.typeName) and \(right.typeName) cannot be calculated with")
    }

    func negate(_ value: Value) throws(TemplateError) -> Value {
        if case .float(let value) = value { return .float(-value) }
        return try calculate(.subtract, .integer(0), value)
    }

    private func integers(
        _ operation: Expression.Arithmetic, _ left: Int, _ right: Int
    ) throws(TemplateError) -> Value {
        if right == 0, operation == .divide || operation == .floorDivide || operation == .modulo {
            throw typeError("division by zero")
        }
        let result: (partialValue: Int, overflow: Bool)
        switch operation {
        case .add: result = left.addingReportingOverflow(right)
        case .subtract: result = left.subtractingReportingOverflow(right)
        case .multiply: result = left.multipliedReportingOverflow(by: right)
        case .divide: return .float(Double(left) / Double(right))
        case .floorDivide:
            let quotient = left.dividedReportingOverflow(by: right)
            let isInexact = !quotient.overflow && quotient.partialValue &* right != left && (left < 0) != (right < 0)
            result = (quotient.partialValue - (isInexact ? 1 : 0), quotient.overflow)
        case .modulo:
            let rest = left.remainderReportingOverflow(dividingBy: right).partialValue
            result = (rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest, false)
        case .power:
            guard right >= 0 else { return .float(try floats(.power, Double(left), Double(right))) }
            result = Self.power(left, right)
        }
        guard !result.overflow else { throw typeError("an integer does not fit 64 bits") }
        return .integer(result.partialValue)
    }

    private static func power(_ base: Int, _ exponent: Int) -> (partialValue: Int, overflow: Bool) {
        if base == 0 || base == 1 { return (exponent == 0 ? 1 : base, false) }
        if base == -1 { return (exponent % 2 == 0 ? 1 : -1, false) }
        var result = 1
        for _ in 0..<min(exponent, 64) {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            if overflow { return (0, true) }
            result = product
        }
        return (result, exponent > 64)
    }

    private func floats(
        _ operation: Expression.Arithmetic, _ left: Double, _ right: Double
    ) throws(TemplateError) -> Double {
        switch operation {
        case .add: return left + right
        case .subtract: return left - right
        case .multiply: return left * right
        case .power: return try power(left, right)
        case .divide, .floorDivide, .modulo:
            guard right != 0 else { throw typeError("division by zero") }
            if operation == .divide { return left / right }
            var rest = left.truncatingRemainder(dividingBy: right)
            if rest != 0, (rest < 0) != (right < 0) { rest += right }
            return operation == .modulo ? rest : ((left - rest) / right).rounded()
        }
    }

    private func power(_ base: Double, _ exponent: Double) throws(TemplateError) -> Double {
        guard exponent == exponent.rounded(), abs(exponent) <= 1024 else {
            throw unsupported("a power with a broken or large exponent")
        }
        var result = 1.0
        for _ in 0..<Int(abs(exponent)) { result *= base }
        return exponent < 0 ? 1 / result : result
    }

    private func join(_ left: Value, _ right: Value) throws(TemplateError) -> Value {
        if let leftText = left.text, let rightText = right.text {
            try charge(textBytes: leftText.utf8.count + rightText.utf8.count)
            switch (left, right) {
            case (.string, .string): return .string(leftText + rightText)
            case (.markup, .string): return .markup(leftText + PythonText.escapeHTML(rightText))
            case (.string, .markup): return .markup(PythonText.escapeHTML(leftText) + rightText)
            default: return .markup(leftText + rightText)
            }
        }
        switch (left, right) {
        case (.list(let left), .list(let right)): return try list(left.elements + right.elements)
        case (.tuple(let left), .tuple(let right)): return try tuple(left.elements + right.elements)
        default: throw typeError("\(left.typeName) and \(right.typeName) cannot be added")
        }
    }

    private func repeated(_ left: Value, _ right: Value) throws(TemplateError) -> Value {
        if let count = Self.integer(left), Self.integer(right) == nil { return try repeated(right, .integer(count)) }
        guard let count = Self.integer(right).map({ max($0, 0) }) else {
            throw typeError("\(left.typeName) and \(right.typeName) cannot be multiplied")
        }
        func repeatedElements(_ items: ValueList) throws(TemplateError) -> [Value] {
            let (total, overflow) = items.elements.count.multipliedReportingOverflow(by: count)
            try charge(overflow ? .max : total)
            return Array(repeatElement(items.elements, count: total == 0 ? 0 : count).joined())
        }
        switch left {
        case .string(let text), .markup(let text):
            try charge(textBytes: text.utf8.count, times: count)
            return left.rewrapping(text.isEmpty ? "" : String(repeating: text, count: count))
        case .list(let items): return try list(try repeatedElements(items))
        case .tuple(let items): return try tuple(try repeatedElements(items))
        default: throw typeError("\(left.typeName) and \(right.typeName) cannot be multiplied")
        }
    }

    func compare(_ operation: Expression.Comparison, _ left: Value, _ right: Value) throws(TemplateError) -> Bool {
        switch operation {
        case .equal: try areEqual(left, right)
        case .notEqual: try !areEqual(left, right)
        case .less: try isLess(left, right)
        case .greater: try isLess(right, left)
        case .lessOrEqual: try isLess(left, right) ? true : try areEqual(left, right)
        case .greaterOrEqual: try isLess(right, left) ? true : try areEqual(left, right)
        case .contained: try contains(right, left)
        case .notContained: try !contains(right, left)
        }
    }
}
