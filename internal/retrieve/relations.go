package retrieve

import "strings"

// relations are groups of words for the same relation between a topic and an
// answer: a question that uses one is often answered with another. They are
// folded; within a word list, one word asks and every word answers.
var relations = [...][]string{
	{"逝世", "去世", "病逝", "过世", "死于", "卒", "死亡", "病死", "身亡", "遇难", "牺牲", "病故", "死", "died", "death", "passed away"},
	{"出生", "生于", "诞生", "出生地", "出身", "祖籍", "籍贯", "born", "birth"},
	{"别名", "又名", "别称", "俗称", "又称", "亦称", "也叫", "原名", "简称", "称为", "本名", "旧称", "名为", "绰号", "also known", "nickname"},
	{"名字", "叫什么", "名叫", "名为", "取名", "叫做", "称为", "姓名", "改名", "name", "named", "called"},
	{"职业", "担任", "任职", "职务", "职位", "出任", "就任", "任", "工作", "post", "position", "served", "job", "role"},
	{"毕业", "就读", "学历", "学位", "考入", "考上", "学院", "大学", "graduated", "studied", "degree"},
	{"创立", "成立", "创办", "建立", "创建", "设立", "组建", "兴建", "始建", "建成", "开办", "founded", "established", "created"},
	{"解散", "停办", "撤销", "结束", "关闭", "废止", "停止", "退役", "退出", "closed", "ended", "dissolved"},
	{"位于", "地处", "坐落", "座落", "位置", "地址", "地点", "在哪", "located", "address", "location"},
	{"原因", "由于", "因为", "因此", "因", "导致", "理由", "为由", "because", "reason", "due to", "cause"},
	{"目的", "为了", "以便", "旨在", "用于", "purpose", "in order to"},
	{"作用", "功能", "用途", "用于", "用来", "可以", "功效", "主治", "used for", "function", "helps"},
	{"特点", "特征", "特色", "特性", "呈", "具有", "外观", "feature", "characteristic"},
	{"价格", "费用", "收费", "价钱", "多少钱", "票价", "售价", "元", "免费", "price", "cost", "fee", "free", "$", "charge"},
	{"面积", "占地", "平方", "公顷", "area", "square"},
	{"高度", "多高", "高达", "海拔", "身高", "height", "tall", "high"},
	{"长度", "多长", "全长", "体长", "长达", "长约", "length", "long"},
	{"人口", "居民", "人", "population", "people"},
	{"作者", "著有", "所著", "撰写", "编写", "作品", "著作", "创作", "written", "author", "wrote"},
	{"导演", "执导", "拍摄", "directed", "director"},
	{"主演", "饰演", "演员", "扮演", "出演", "starring", "played"},
	{"发行", "出版", "推出", "发布", "上市", "上映", "发售", "released", "published", "launched"},
	{"发明", "发现", "提出", "设计", "研发", "开发", "invented", "discovered", "developed", "designed"},
	{"主办", "举办", "举行", "承办", "主办方", "召开", "held", "hosted", "organized"},
	{"赞助", "冠名", "资助", "sponsor", "funded"},
	{"获得", "荣获", "得到", "夺得", "获奖", "取得", "赢得", "won", "award", "received"},
	{"组成", "构成", "包括", "包含", "分为", "由", "consists", "includes", "made of", "composed"},
	{"分布", "产于", "原产", "生长", "栖息", "found in", "native", "habitat"},
	{"属于", "隶属", "科", "类", "belongs"},
	{"颜色", "色", "color", "colour"},
	{"妻子", "丈夫", "结婚", "娶", "嫁", "夫人", "配偶", "婚", "married", "wife", "husband", "spouse"},
	{"儿子", "女儿", "子女", "孩子", "长子", "次子", "育有", "生有", "之子", "son", "daughter", "children"},
	{"父亲", "母亲", "父母", "之父", "之母", "father", "mother", "parents"},
	{"影响", "造成", "导致", "结果", "后果", "使得", "affect", "impact", "result"},
	{"意义", "被视为", "标志", "重要", "significance", "important"},
	{"由来", "来源", "起源", "得名", "源于", "源自", "来自", "名称", "origin", "comes from"},
	{"定义", "是指", "指的是", "是", "定义为", "defined", "means", "refers"},
	{"首都", "首府", "省会", "capital"},
	{"爱好", "喜欢", "喜爱", "兴趣", "擅长", "hobby", "likes"},
	{"开始", "始于", "起", "开通", "启用", "开放", "began", "started", "opened"},
	{"退款", "退货", "退回", "退还", "返还", "refund", "return"},
	{"修改", "更改", "变更", "更换", "调整", "change", "modify", "update", "edit"},
	{"取消", "撤销", "终止", "退订", "cancel", "terminate", "unsubscribe"},
	{"支付", "付款", "缴费", "缴纳", "付费", "pay", "payment"},
	{"联系", "电话", "客服", "邮箱", "热线", "contact", "phone", "email", "support"},
	{"时限", "期限", "有效期", "工作日", "小时内", "天内", "之内", "within", "deadline", "valid", "expire"},
	{"登录", "登陆", "登入", "sign in", "log in", "login"},
	{"注册", "开户", "开通", "申请", "register", "sign up", "apply"},
	{"安装", "部署", "配置", "设置", "install", "setup", "configure", "deploy"},
	{"报错", "错误", "失败", "异常", "error", "fail", "failed"},
}

// related is the set of relations whose words occur in a folded text.
func related(text string) uint64 {
	var set uint64
	for i, words := range relations {
		for _, w := range words {
			if len(w) > 3 && strings.Contains(text, w) { // a single character is too common to ask with
				set |= 1 << i
				break
			}
		}
	}
	return set
}

// answersRelation returns the share of the relations in asked that text has a
// word of.
func answersRelation(asked uint64, text string) float32 {
	n, hit := 0, 0
	for i, words := range relations {
		if asked>>i&1 == 0 {
			continue
		}
		n++
		for _, w := range words {
			if strings.Contains(text, w) {
				hit++
				break
			}
		}
	}
	return share(float32(hit), float32(n))
}
