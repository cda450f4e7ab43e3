/* jinja_ast.h - the tree of a parsed template. One node shape for all: what a, b, c, d and args mean stands beside
 * each kind. Lists of nodes are linked by `next`. The tree and its literals are never changed after parsing. */
#ifndef SN_TEXT_JINJA_AST_H
#define SN_TEXT_JINJA_AST_H

#include "text/value.h"

typedef enum node_kind {
	/* statements */
	N_TEXT,         /* literal */
	N_PRINT,        /* a: expression */
	N_IF,           /* a: condition, b: body, c: else body (an elif is an N_IF alone in there) */
	N_FOR,          /* a: target, b: what to iterate, c: body, d: else body, args: filter condition, op: recursive */
	N_SET,          /* a: target, b: expression */
	N_SET_BLOCK,    /* a: target, b: body, c: filters over N_HOLE, or NULL */
	N_MACRO,        /* name, id, args: parameters (N_NAME, a: default or NULL), b: body, op: USES_... */
	N_CALL_BLOCK,   /* a: the N_CALL, args: parameters of caller, b: body, op: USES_... */
	N_WITH,         /* args: N_SET, in turn, b: body */
	N_FILTER_BLOCK, /* b: body, c: filters over N_HOLE */
	N_BREAK,
	N_CONTINUE,
	/* expressions */
	N_LITERAL, /* literal */
	N_NAME,    /* name, id; as a target or a parameter too */
	N_LIST,    /* args */
	N_TUPLE,   /* args; as a target too */
	N_DICT,    /* args: N_PAIR */
	N_PAIR,    /* a: key, b: value */
	N_KEYWORD, /* name, a: an argument's value */
	N_SPREAD,  /* a: arguments to unpack; op '*': positional, '^': named */
	N_UNARY,   /* op, a */
	N_BINARY,  /* op, a, b */
	N_AND,     /* a, b */
	N_OR,
	N_NOT,     /* a */
	N_COMPARE, /* a, args: N_OPERAND */
	N_OPERAND, /* op, a: right side of a comparison */
	N_COND,    /* a: condition, b: then, c: else or NULL */
	N_ATTR,    /* a, name */
	N_ITEM,    /* a, b: index */
	N_SLICE,   /* a, b: start, c: stop, d: step, each may be NULL */
	N_CALL,    /* a, args */
	N_FILTER,  /* a, name, builtin, args */
	N_TEST,    /* a, name, builtin, args */
	N_HOLE     /* the text of the block around it */
} node_kind;

/* Comparison operators that are not spelled by characters. */
enum { OP_IN = 'i', OP_NOT_IN = 'n' };

/* The ids of the names that the interpreter itself sets. */
enum { NAME_LOOP, NAME_CALLER, NAME_VARARGS, NAME_KWARGS };

/* Which of them a macro's body mentions: only then does it take more than its parameters. */
enum { USES_CALLER = 1, USES_VARARGS = 2, USES_KWARGS = 4 };

typedef struct node node;
struct node {
	node_kind kind;
	int line;
	int op;
	int id;       /* of a name: equal names have equal ids */
	str name;
	const value *literal;
	const struct builtin *builtin;
	node *a, *b, *c, *d, *args, *next;
};

#endif
