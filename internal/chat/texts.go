package chat

import "github.com/eino-qa/eino-qa/internal/kb"

// texts is what the assistant says by itself, in one language.
type texts struct {
	direct    map[act]string
	unknown   string // the knowledge base does not hold the answer
	related   string // … but this may be related
	handoff   string
	cancelled string
	next      string // after it, when nothing was asked
	nobody    string // no human came in time
	refused   string // the provider will not answer this
	taken     string // a human has the conversation
	queued    string // … or will have it

	noOrders    string // there are no orders to look at
	askOrder    string // which order?
	askProof    string // of this order (%s): whose is it?
	unproven    string // that does not prove it, or there is no such order
	locked      string // too many failures
	noneOfYours string
	yourOrders  string
	orderLine   string
	orderField  string
	product     string
	amount      string
	status      string
}

func textsOf(l kb.Lang) texts {
	if l == kb.Zh {
		return textsZh()
	}
	return textsEn()
}

func textsZh() texts {
	return texts{
		direct: map[act]string{
			actGreet:  "您好！我是智能客服，可以根据知识库回答您的问题，并给出可核对的原文出处。请问有什么可以帮您？",
			actThanks: "不客气！还有其他问题可以随时问我。",
			actBye:    "再见，祝您一切顺利！",
			actWho:    "我是智能客服助手。我只根据知识库里的文档回答，每个回答都附有可点开核对的原文；知识库里没有的，我会直说，并可以为您转接人工。",
			actCancel: "好的，由我继续为您服务。请问有什么问题？",
		},
		unknown:   "知识库里没有找到这个问题的答案，我已经把它记录下来。您可以换个说法再问一次，或者回复“转人工”由人工客服为您解答。",
		related:   "知识库里没有直接回答这个问题的内容，我已经把问题记录下来。下面几处原文可能相关；也可以回复“转人工”由人工客服为您解答。",
		handoff:   "已为您转接人工客服，请稍候。在人工客服接入之前您可以继续补充问题；回复“取消转人工”可以回到智能客服。",
		cancelled: "已取消转人工，由我继续为您服务。",
		next:      "请问有什么问题？",
		nobody:    "抱歉，人工客服暂时没有接入，先由我继续为您服务。",
		refused:   "抱歉，这个问题我无法回答。如果需要帮助，请回复“转人工”。",
		taken:     "人工客服已接手对话，请以人工客服的回复为准。",
		queued:    "已为您转接人工客服，请以人工客服的回复为准。",

		noOrders:    "抱歉，我这里暂时查不到订单信息。请回复“转人工”，由人工客服为您查询。",
		askOrder:    "请告诉我要查询的订单号。",
		askProof:    "为保护您的隐私，查看订单 %s 之前需要核对身份：请回复下单时预留的验证信息（例如手机号后四位）。",
		unproven:    "订单号与验证信息不匹配，暂时无法显示订单。请核对后重新回复验证信息，或回复“转人工”由人工客服核实。",
		locked:      "核对失败的次数过多，请稍后再试，或回复“转人工”由人工客服核实。",
		noneOfYours: "您的账号下没有订单。如有疑问，请回复“转人工”。",
		yourOrders:  "您最近的订单如下，回复订单号可以查看详情：",
		orderLine:   "订单 %s",
		orderField:  "%s：%s",
		product:     "商品",
		amount:      "金额",
		status:      "状态",
	}
}

func textsEn() texts {
	return texts{
		direct: map[act]string{
			actGreet:  "Hello! I answer questions from the knowledge base and show the exact passages I rely on. What would you like to know?",
			actThanks: "You're welcome! Ask me anything else at any time.",
			actBye:    "Goodbye, and all the best!",
			actWho:    "I am the assistant of this help desk. I answer only from the documents in the knowledge base, each answer with a quote you can open and check; when they do not hold the answer I say so and can hand you over to a person.",
			actCancel: "All right, I am here. What would you like to know?",
		},
		unknown:   "The knowledge base does not hold the answer to this; I have noted the question. You can ask in other words, or reply \"talk to a human\" and a person will help you.",
		related:   "The knowledge base does not answer this directly; I have noted the question. These passages may be related, or reply \"talk to a human\" and a person will help you.",
		handoff:   "I am handing you over to a person; please wait a moment. You can add details meanwhile, or reply \"cancel\" to come back to me.",
		cancelled: "The request for a person is cancelled, and I am here again.",
		next:      " What would you like to know?",
		nobody:    "Sorry, nobody was free to take over. I will go on helping you for now.",
		refused:   "Sorry, I cannot answer this. If you need help, reply \"talk to a human\".",
		taken:     "A person has taken over the conversation; please go by what they tell you.",
		queued:    "You are being handed over to a person; please go by what they tell you.",

		noOrders:    "Sorry, I cannot look up orders here. Reply \"talk to a human\" and a person will check it for you.",
		askOrder:    "Which order is it? Please send me the order number.",
		askProof:    "To protect your privacy I have to check that order %s is yours: please reply with the verification detail given with the order, for example the last four digits of the phone number.",
		unproven:    "The order number and the verification detail do not match, so I cannot show the order. Please check and send the verification detail again, or reply \"talk to a human\".",
		locked:      "There were too many failed checks. Please try again later, or reply \"talk to a human\".",
		noneOfYours: "There are no orders in your account. If that is wrong, reply \"talk to a human\".",
		yourOrders:  "Your latest orders; reply with a number to see one:",
		orderLine:   "Order %s",
		orderField:  "%s: %s",
		product:     "Product",
		amount:      "Amount",
		status:      "Status",
	}
}
