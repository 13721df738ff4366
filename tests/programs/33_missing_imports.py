# in_shape (1, 40)
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv_a = nn.Conv1d(1, 16, 3, padding=1)
        self.conv_b = nn.Conv1d(16, 16, 3, padding=1)
        self.head = nn.Linear(16 * 10, num_classes)

    def forward(self, x):
        x = F.max_pool1d(F.relu(self.conv_a(x)), 2)
        x = F.max_pool1d(F.relu(self.conv_b(x)), 2)
        return self.head(torch.flatten(x, 1))
